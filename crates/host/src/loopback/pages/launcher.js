// The page that stays open during a sign-in. Without this script the form works all the same: the
// provider's page then takes the place of this one, and nobody notices when it is closed.
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

  // Open as long as this page is; says at the end how the sign-in went.
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
      // This page goes away, or the program has ended.
    }
    if (over) return;
    try {
      const { title, text, closes } = JSON.parse(said);
      show(title, text);
      if (closes) window.close();
    } catch {
      show("The sign-in has ended", "Nothing waits for an answer any more. You can close this window.");
    }
  };

  const giveUp = () => {
    if (over) return;
    fetch(path, { method: "POST", keepalive: true, body: new URLSearchParams({ token, account: "cancel" }) })
      .catch(() => {});
    show("Cancelled", "The sign-in was cancelled because its window was closed.");
  };

  // A tab that is closed brings its opener back to front. A page may also cut the tie to its opener
  // (Cross-Origin-Opener-Policy), and then looks closed while the person is still there. So a tab
  // counts as closed only if the person is back here at that moment.
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
        // How it went may be on its way here.
        setTimeout(giveUp, 300);
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
    // A browser that forbids it goes on in this tab.
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
