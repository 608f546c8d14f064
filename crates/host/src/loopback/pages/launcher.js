// The page that stays open during a sign-in. The form also works without this script: the provider's
// page then replaces this one, and closing it is not noticed.
(() => {
  "use strict";
  const form = document.forms[0];
  const path = form.getAttribute("action");
  const token = form.elements.token.value;
  let over = false;

  const show = (title, text) => {
    over = true;
    const [heading, sentence] = [document.createElement("h1"), document.createElement("p")];
    [heading.textContent, sentence.textContent] = [title, text];
    heading.tabIndex = -1;
    document.querySelector("main").replaceChildren(heading, sentence);
    document.title = `${title} - Keybearer`;
    heading.focus();
  };

  // This request stays open as long as the page; its reply is the outcome of the sign-in.
  const stay = async () => {
    let said = "";
    try {
      const answer = await fetch(`${path}/presence`);
      if (!answer.ok) return;
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        said += value;
      }
    } catch {
      // This page is being closed, or the program has ended.
    }
    if (over) return;
    try {
      const { title, text, closes } = JSON.parse(said);
      show(title, text);
      if (closes) window.close();
    } catch {
      show("The sign-in has ended", "The answer is no longer needed. You can close this window.");
    }
  };

  const cancel = () => {
    if (over) return;
    fetch(path, { method: "POST", keepalive: true, body: new URLSearchParams({ token, account: "cancel" }) })
      .catch(() => {});
    show("Cancelled", "The sign-in was cancelled because its window was closed.");
  };

  // When a tab is closed, the browser shows its opener again. A page may also detach itself from its
  // opener (Cross-Origin-Opener-Policy), and then looks closed although it is open. So a tab counts
  // as closed only if this page is in front at that moment.
  const watch = (other) => {
    let left = false;
    let gone = null;
    let lost = false;
    const isBack = () => document.visibilityState === "visible" && document.hasFocus();
    const look = () => {
      if (over || lost) return;
      left ||= !isBack();
      if (!other.closed) return;
      gone ??= performance.now();
      if (left && isBack()) {
        // The outcome may be about to arrive.
        setTimeout(cancel, 300);
      } else if (performance.now() - gone > 1000) {
        lost = true;
      }
    };
    setInterval(look, 200);
    for (const event of ["visibilitychange", "focus"]) {
      (event === "focus" ? window : document).addEventListener(event, look);
    }
  };

  form.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (!button || button.value === "cancel") return;
    const name = `sign-in${path.replaceAll("/", "-")}`;
    const other = window.open("about:blank", name);
    // If the browser does not open another tab, the form uses this one.
    if (!other) return;
    form.target = name;
    form.elements.tab.value = "other";
    watch(other);
    setTimeout(() => {
      other.opener = null;
      form.removeAttribute("target");
      document.getElementById("question").hidden = true;
      document.getElementById("waiting").hidden = false;
      document.title = "Signing in - Keybearer";
      document.querySelector("#waiting h1").focus();
    });
  });

  stay();
})();
