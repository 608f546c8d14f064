"""Keybearer's credential under the names that azure-identity's tests use.

The tests patch `webbrowser.open` and `_open_browser` of the module that defines the class, so both are
here; `browser_relay.py` passes the URLs for $BROWSER to them.
"""

import webbrowser

import keybearer

made = []
"""The credentials that the current test has made."""

# Seconds after which a sign-in that is not completed times out; azure-identity's default is 300.
LONG, SHORT = 30, 1
timeout = LONG


class InteractiveBrowserCredential(keybearer.InteractiveBrowserBrokerCredential):
    """Signs in within this process: a broker in another process would open its browser out of the tests' reach."""

    def __init__(self, **keywords):
        made.append(self)
        super().__init__(**{"broker": "never", "timeout": timeout, **keywords})


class InteractiveCredential(InteractiveBrowserCredential):
    """Stands for the base of azure-identity's interactive credentials; its tests derive from it."""


class InteractiveBrowserBrokerCredential(InteractiveBrowserCredential):
    """Stands for the class of `azure.identity.broker`."""


PopTokenRequestOptions = keybearer.PopTokenRequestOptions


def _open_browser(url):
    return webbrowser.open(url)
