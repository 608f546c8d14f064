"""Our credential under the names that azure-identity's tests use.

They patch `webbrowser.open` and `_open_browser` of the module in which the class is, so both are here,
and whatever $BROWSER opens comes through them (see `browser_relay.py`).
"""

import webbrowser

import keybearer

made = []
"""The credentials of this test."""

# Seconds for a sign-in that nobody completes; azure-identity's default is 300.
LONG, SHORT = 30, 1
patience = LONG


class InteractiveBrowserCredential(keybearer.InteractiveBrowserBrokerCredential):
    """In this process: a broker of another one would open its browser there, and no test would see it."""

    def __init__(self, **keywords):
        made.append(self)
        super().__init__(**{"broker": "never", "timeout": patience, **keywords})


class InteractiveCredential(InteractiveBrowserCredential):
    """What azure-identity builds its interactive credentials on; its tests derive from it."""


class InteractiveBrowserBrokerCredential(InteractiveBrowserCredential):
    """What `azure.identity.broker` provides."""


PopTokenRequestOptions = keybearer.PopTokenRequestOptions


def _open_browser(url):
    return webbrowser.open(url)
