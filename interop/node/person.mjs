// Simulates a person at a browser: follows redirects, fills in the emulator's forms and submits them.

const UNESCAPED = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'" };

export class Person {
  /** `presses` are the values of buttons to press instead of the first one of a page, such as "deny". */
  constructor(user, presses = []) {
    this.user = user;
    this.presses = presses;
    this.cookies = new Map();
    this.seen = [];
  }

  /** Submits forms until a page has none; returns that page. */
  async visit(url) {
    return this.#submitForms(await this.#fetch(url));
  }

  /** Enters the code of a device flow, then submits forms until a page has none. */
  async enterCode(url, userCode) {
    const form = formOf((await this.#fetch(url)).text);
    return this.#submitForms(await this.#submit(url, form, { text: userCode }, form.buttons[0]));
  }

  async #submitForms(page) {
    for (let pages = 0; pages < 12; pages++) {
      const form = formOf(page.text);
      if (!form) return page;
      this.seen.push(form.title);
      const wanted = [...this.presses, this.user.upn];
      const button = form.buttons.find(({ value }) => wanted.includes(value)) ?? form.buttons[0];
      const filled = { email: this.user.upn, password: this.user.password };
      page = await this.#submit(page.url, form, filled, button);
    }
    throw new Error(`the pages do not end: ${this.seen}`);
  }

  #submit(base, form, filled, button) {
    const body = new URLSearchParams();
    for (const { name, type, value } of form.inputs) body.append(name, filled[type] ?? value);
    body.append(button.name, button.value);
    return this.#fetch(new URL(form.action, base).href, { method: "POST", body });
  }

  async #fetch(url, options = {}) {
    for (;;) {
      const cookie = [...this.cookies].map((pair) => pair.join("=")).join("; ");
      const reply = await fetch(url, { ...options, redirect: "manual", headers: { cookie } });
      for (const set of reply.headers.getSetCookie()) {
        this.cookies.set(...set.split(";")[0].split(/=(.*)/s).slice(0, 2));
      }
      const location = reply.headers.get("location");
      if (!location) return { url, text: await reply.text() };
      await reply.body?.cancel();
      url = new URL(location, url).href;
      options = {};
    }
  }
}

function formOf(html) {
  const form = html.match(/<form [^>]*>/);
  if (!form) return undefined;
  const all = (tag) => [...html.matchAll(new RegExp(`<${tag} [^>]*>`, "g"))].map(([text]) => attributes(text));
  const title = html.match(/<title>([^<]*)/)?.[1];
  return { action: attributes(form[0]).action, inputs: all("input"), buttons: all("button"), title };
}

function attributes(tag) {
  const pairs = [...tag.matchAll(/ ([a-z]+)="([^"]*)"/g)];
  return Object.fromEntries(pairs.map(([, name, value]) => [name, value.replace(/&[a-z#0-9]+;/g, (escaped) => UNESCAPED[escaped])]));
}
