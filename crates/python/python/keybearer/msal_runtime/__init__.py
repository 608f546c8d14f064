"""The broker of this machine, in the shape of Microsoft's authentication runtime.

    import keybearer
    keybearer.install_msal_runtime()

After that, unmodified programs of MSAL Python that opt in to a broker use this machine's, whichever
it is: Keybearer's own, or another that has the name on the session bus. Only Linux has this module:
elsewhere Microsoft's runtime has the operating system's broker.

The names are those that MSAL Python calls (``msal/broker.py`` and ``msal/application.py``, MIT).
Window handles are accepted and ignored. Importing this module imports neither msal nor azure, and
contacts nobody; the broker is looked for when MSAL registers its log.
"""

from __future__ import annotations

import base64
import json
import logging
import socket
import sys
import threading
from enum import Enum
from typing import Any, Callable

try:
    from keybearer._native import (
        MSALRuntimeAuthParameters,
        MSALRuntimeError,
        Runtime,
        RuntimeCall,
        Token,
    )
except ImportError as missing:
    raise ImportError(
        "keybearer.msal_runtime is for Linux; elsewhere Microsoft's pymsalruntime has the system's "
        "broker"
    ) from missing

__all__ = [
    "CallbackData",
    "LogLevel",
    "MSALRuntimeAccount",
    "MSALRuntimeAuthParameters",
    "MSALRuntimeError",
    "MSALRuntimeResult",
    "Response_Status",
    "acquire_token_silently",
    "get_console_window",
    "get_desktop_window",
    "install",
    "read_account_by_id",
    "register_logging_callback",
    "set_is_pii_enabled",
    "signin_interactively",
    "signin_silently",
    "signout_silently",
]

NAME = "pymsalruntime"
"""What MSAL imports."""


class LogLevel(Enum):
    """How grave a line of the log is."""

    TRACE = 1
    DEBUG = 2
    INFO = 3
    WARNING = 4
    ERROR = 5
    FATAL = 6


class Response_Status(Enum):  # noqa: N801 - MSAL's name
    """What a program does about an error. The numbers are those of the public MSALRuntime enum."""

    Status_Unexpected = 0
    Status_Reserved = 1
    Status_InteractionRequired = 2
    Status_NoNetwork = 3
    Status_NetworkTemporarilyUnavailable = 4
    Status_ServerTemporarilyUnavailable = 5
    Status_ApiContractViolation = 6
    Status_UserCanceled = 7
    Status_ApplicationCanceled = 8
    Status_IncorrectConfiguration = 9
    Status_InsufficientBuffer = 10
    Status_AuthorityUntrusted = 11
    Status_UserSwitch = 12
    Status_AccountUnusable = 13
    Status_UserDataRemovalRequired = 14
    Status_KeyNotFound = 15
    Status_AccountNotFound = 16
    Status_TransientError = 17
    Status_AccountSwitch = 18
    Status_RequiredBrokerMissing = 19
    Status_DeviceNotRegistered = 20
    Status_FallbackToNativeMsal = 21


class MSALRuntimeAccount:
    """An account that is connected to the broker."""

    def __init__(self, home_account_id: str, username: str) -> None:
        """Keep who it is: object id, a dot, tenant id; and the user principal name."""
        self.home_account_id = home_account_id
        self.username = username

    def get_account_id(self) -> str:
        """Return the object id in the home directory, which MSAL keeps as `local_account_id`."""
        return self.home_account_id.partition(".")[0]

    def get_client_info(self) -> str:
        """Return the home account id as token replies have it: base64url JSON."""
        uid, _, utid = self.home_account_id.partition(".")
        info = json.dumps({"uid": uid, "utid": utid})
        return base64.urlsafe_b64encode(info.encode()).decode().rstrip("=")


class MSALRuntimeResult:
    """What a request ended with: an error, or what was asked for."""

    def __init__(
        self,
        *,
        error: MSALRuntimeError | None = None,
        account: MSALRuntimeAccount | None = None,
        token: Token | None = None,
    ) -> None:
        """Keep what there is."""
        self._error = error
        self._account = account
        self._token = token

    def get_error(self) -> MSALRuntimeError | None:
        """Return what went wrong, or None."""
        return self._error

    def get_account(self) -> MSALRuntimeAccount | None:
        """Return whose token it is or which account was found, or None."""
        return self._account

    def get_access_token(self) -> str:
        """Return the access token, or an empty text."""
        return self._token.token if self._token else ""

    def get_access_token_expiry_time(self) -> int:
        """Return when the token stops being valid, in seconds since 1970."""
        return self._token.expires_on if self._token else 0

    def get_granted_scopes(self) -> list[str]:
        """Return what was granted, at least what was asked for."""
        return list(self._token.scopes) if self._token else []

    def is_pop_authorization(self) -> bool:
        """Tell whether the token is a signed HTTP request."""
        return self._token is not None and self._token.token_type == "pop"  # noqa: S105

    def get_authorization_header(self) -> str:
        """Return what an HTTP request carries as `Authorization`."""
        return f"{self._token.token_type} {self._token.token}" if self._token else ""

    def get_raw_id_token(self) -> str:
        """Return the ID token as it was issued, a JWT, or an empty text."""
        return (self._token and self._token._id_token) or ""

    def get_id_token(self) -> str:
        """Return the claims of the ID token as JSON, or an empty text."""
        _, _, rest = self.get_raw_id_token().partition(".")
        payload = rest.partition(".")[0]
        return base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()

    def get_telemetry_data(self) -> dict[str, str]:
        """Return how the token was had. No account is named."""
        return {"keybearer_source": self._token.source} if self._token else {}


Callback = Callable[[MSALRuntimeResult], object]


class CallbackData:
    """Where a program waits for the result: `signal` is set when `result` is there."""

    def __init__(self, is_interactive: bool = False) -> None:
        """Prepare for the next request of this thread."""
        self.is_interactive = is_interactive
        self.result: MSALRuntimeResult | None = None
        self.signal = _Signal()
        _thread.signal = self.signal

    def complete(self, result: MSALRuntimeResult) -> None:
        """Take the result and wake whoever waits."""
        self.result = result
        self.signal.set()


class _Signal(threading.Event):
    """Gives the request up if whoever waits for it is interrupted, by Ctrl-C for example."""

    call: RuntimeCall | None = None

    def wait(self, timeout: float | None = None) -> bool:
        try:
            return super().wait(timeout)
        except BaseException:
            if self.call:
                self.call.cancel()
            raise


class _Thread(threading.local):
    signal: _Signal | None = None


class _Log:
    callback: Callable[[str, LogLevel], object] | None = None
    names_accounts = False

    def write(self, message: str) -> None:
        """Tell the program, whose log may not end a request."""
        if self.callback:
            try:
                self.callback(message, LogLevel.DEBUG)
            except Exception:
                logging.getLogger(__name__).debug("the program's log failed", exc_info=True)


_thread = _Thread()
_log = _Log()
_runtime: Runtime | None = None


def _broker() -> Runtime:
    global _runtime  # noqa: PLW0603 - there is one broker
    if _runtime is None:
        _runtime = Runtime()
    return _runtime


def register_logging_callback(callback: Callable[[str, LogLevel], object]) -> None:
    """Find this machine's broker, or start it, and tell `callback` about every request.

    Raises RuntimeError if there is none and none can be started; MSAL then does without.
    """
    global _runtime  # noqa: PLW0603
    call = _broker().connect()
    with _begun(call) as waiting:
        try:
            waiting.recv(1)
        except BaseException:
            call.cancel()
            raise
    found: str | MSALRuntimeError = call.result()
    if isinstance(found, MSALRuntimeError):
        # Whoever tries again may have changed the environment.
        _runtime = None
        raise RuntimeError(found.get_context())
    _log.callback = callback
    _log.write(f"connected to {found}")


def set_is_pii_enabled(enabled: int) -> None:
    """Name accounts in the log from now on, or no longer. Secrets are never named."""
    _log.names_accounts = bool(enabled)


def get_console_window() -> int:
    """Return no window: brokers on Linux have no use for one."""
    return 0


def get_desktop_window() -> int:
    """Return no window: brokers on Linux have no use for one."""
    return 0


def signin_silently(
    parameters: MSALRuntimeAuthParameters, correlation_id: str, callback: Callback
) -> RuntimeCall:
    """Get a token of the account that signed in last, asking nobody."""
    call = _broker().acquire_silently(parameters, correlation_id, None)
    return _start(call, _tells("signin_silently", correlation_id, callback))


def acquire_token_silently(
    parameters: MSALRuntimeAuthParameters,
    correlation_id: str,
    account: MSALRuntimeAccount,
    callback: Callback,
) -> RuntimeCall:
    """Get a token of this account, asking nobody."""
    call = _broker().acquire_silently(parameters, correlation_id, account.home_account_id)
    return _start(call, _tells("acquire_token_silently", correlation_id, callback))


def signin_interactively(
    parent_window_handle: int,  # noqa: ARG001
    parameters: MSALRuntimeAuthParameters,
    correlation_id: str,
    login_hint: str | None,
    callback: Callback,
) -> RuntimeCall:
    """Get a token with the person's help, as `login_hint` or as whoever they choose to be."""
    call = _broker().acquire_interactively(parameters, correlation_id, login_hint)
    return _start(call, _tells("signin_interactively", correlation_id, callback))


def read_account_by_id(account_id: str, correlation_id: str, callback: Callback) -> RuntimeCall:
    """Find a connected account by its object id; the result has none if it is not connected.

    The object id is the one in the home directory, or in the one the account was last seen in.
    """

    def done(outcome: list[tuple[str, str, str]] | MSALRuntimeError) -> None:
        if isinstance(outcome, MSALRuntimeError):
            callback(_failed("read_account_by_id", correlation_id, outcome))
            return
        listed = ((MSALRuntimeAccount(home, name), local) for home, local, name in outcome)
        wanted = account_id.lower()
        found = (
            account
            for account, local in listed
            if wanted in (account.home_account_id, account.get_account_id(), local.lower())
        )
        callback(MSALRuntimeResult(account=next(found, None)))

    return _start(_broker().accounts(correlation_id), done)


def signout_silently(
    client_id: str, correlation_id: str, account: MSALRuntimeAccount, callback: Callback
) -> None:
    """Sign the account out of this app, in this process.

    Other programs stay signed in. `keybearer logout` signs out of all of them.
    """
    error = _broker().sign_out(client_id, account.home_account_id)
    if error:
        callback(_failed("signout_silently", correlation_id, error))
        return
    _log.write(f"signout_silently {correlation_id}: signed out")
    callback(MSALRuntimeResult())


def install() -> None:
    """Have MSAL import this module where it wants Microsoft's; once more does nothing.

    Raises RuntimeError if Microsoft's is loaded already: MSAL would go on with it.
    """
    ours = sys.modules[__name__]
    if sys.modules.setdefault(NAME, ours) is not ours:
        raise RuntimeError(
            f"{NAME} is loaded already, from {getattr(sys.modules[NAME], '__file__', None)}; "
            "call keybearer.install_msal_runtime() before MSAL is first used with a broker"
        )


def _tells(
    operation: str, correlation_id: str, callback: Callback
) -> Callable[[Token | MSALRuntimeError], None]:
    def done(outcome: Token | MSALRuntimeError) -> None:
        if isinstance(outcome, MSALRuntimeError):
            callback(_failed(operation, correlation_id, outcome))
            return
        whose = f" of {outcome.username}" if _log.names_accounts else ""
        _log.write(f"{operation} {correlation_id}: a token{whose} from {outcome.source}")
        account = MSALRuntimeAccount(outcome.home_account_id, outcome.username)
        callback(MSALRuntimeResult(account=account, token=outcome))

    return done


def _failed(operation: str, correlation_id: str, error: MSALRuntimeError) -> MSALRuntimeResult:
    # The text may name accounts.
    details = f": {error.get_context()}" if _log.names_accounts else ""
    _log.write(f"{operation} {correlation_id}: {error.get_status().name}{details}")
    return MSALRuntimeResult(error=error)


def _start(call: RuntimeCall, done: Callable[[Any], None]) -> RuntimeCall:
    """Begin, and have a thread tell the result. Whoever waits in this one can give the call up."""
    waiting = _begun(call)

    def tell() -> None:
        with waiting:
            waiting.recv(1)
        done(call.result())

    threading.Thread(target=tell, name="keybearer", daemon=True).start()
    if _thread.signal:
        _thread.signal.call = call
    return call


def _begun(call: RuntimeCall) -> socket.socket:
    """Begin. The socket ends with the call."""
    waiting = socket.socket(fileno=call.start())
    # The program may have set a default for sockets.
    waiting.settimeout(None)
    return waiting
