"""Simulates a person at a browser: follows redirects, fills in the emulator's forms and submits them."""

import threading
from html.parser import HTMLParser
from urllib.parse import urljoin

import requests


class Person:
    """Signs in as one user. Keeps cookies, so that a second sign-in uses the session of the first."""

    def __init__(self, upn, password, ca, presses=()):
        """`presses` are the values of buttons to press instead of the first one of a page, such as "deny"."""
        self.upn, self.password, self.presses = upn, password, presses
        self.browser = requests.Session()
        self.browser.verify = ca
        self.seen = []

    def visit(self, url):
        """Submit forms until a page has none. Return that page, which is usually the app's."""
        return self._submit_forms(self.browser.get(url))

    def enter_code(self, url, user_code):
        """Enter the code of a device flow, then submit forms until a page has none."""
        form = Form.of(self.browser.get(url))
        fields = form.filled({"text": user_code}, form.buttons[0])
        return self._submit_forms(self.browser.post(urljoin(url, form.action), data=fields))

    def _submit_forms(self, page):
        for _ in range(12):
            form = Form.of(page)
            if form is None:
                return page
            self.seen.append(form.title)
            fields = form.filled({"email": self.upn, "password": self.password}, self._press(form))
            page = self.browser.post(urljoin(page.url, form.action), data=fields)
        raise AssertionError(f"the pages do not end: {self.seen}")

    # The protocol of the standard library's `webbrowser`.
    def open(self, url, new=0, autoraise=True):
        # In a thread: a program serves its redirect URI only after this returns.
        threading.Thread(target=self.visit, args=(url,), daemon=True).start()
        return True

    def _press(self, form):
        values = {value: (name, value) for name, value in form.buttons}
        wanted = [*self.presses, self.upn]
        return next((values[value] for value in wanted if value in values), form.buttons[0])


class Form(HTMLParser):
    """The one form of a page."""

    def __init__(self):
        super().__init__()
        self.action, self.title = None, ""
        self.inputs, self.buttons = [], []
        self._in_title = False

    @classmethod
    def of(cls, page):
        form = cls()
        form.feed(page.text)
        return form if form.action else None

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "form":
            self.action = attrs["action"]
        elif tag == "input":
            self.inputs.append((attrs["name"], attrs["type"], attrs.get("value", "")))
        elif tag == "button":
            self.buttons.append((attrs["name"], attrs["value"]))
        self._in_title = tag == "title"

    def handle_data(self, data):
        if self._in_title:
            self.title += data

    def filled(self, by_type, button):
        fields = {name: by_type.get(kind, value) for name, kind, value in self.inputs}
        return {**fields, button[0]: button[1]}
