"""A replacement for Microsoft's authentication runtime, pymsalruntime.

    import keybearer
    keybearer.install_msal_runtime()

After that, unmodified programs that use MSAL Python with a broker use this machine's broker:
Keybearer's, or another one that owns the name on the session bus. This module exists on Linux only;
on other systems Microsoft's runtime asks the system's broker.

The names are those that MSAL Python calls (``msal/broker.py`` and ``msal/application.py``, MIT).
Window handles are accepted and ignored. Importing this module imports nothing from msal or azure
and contacts no broker. The broker is contacted when MSAL registers its logging callback.
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
        "keybearer.msal_runtime is for Linux only; use Microsoft's pymsalruntime on this system"
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
"""The name under which MSAL imports the runtime."""


class LogLevel(Enum):
    """The level of a log line."""

    TRACE = 1
    DEBUG = 2
    INFO = 3
    WARNING = 4
    ERROR = 5
    FATAL = 6


class Response_Status(Enum):  # noqa: N801 - MSAL's name
    """The category of an error. The numbers are those of the public MSALRuntime enum."""

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
        """Set the home account id, as ``<object id>.<tenant id>``, and the user principal name."""
        self.home_account_id = home_account_id
        self.username = username

    def get_account_id(self) -> str:
        """Return the object id in the home tenant, which MSAL keeps as `local_account_id`."""
        return self.home_account_id.partition(".")[0]

    def get_client_info(self) -> str:
        """Return the home account id as `client_info` of a token response: base64url JSON."""
        uid, _, utid = self.home_account_id.partition(".")
        info = json.dumps({"uid": uid, "utid": utid})
        return base64.urlsafe_b64encode(info.encode()).decode().rstrip("=")


class MSALRuntimeResult:
    """The result of a request: an error, a token or an account."""

    def __init__(
        self,
        *,
        error: MSALRuntimeError | None = None,
        account: MSALRuntimeAccount | None = None,
        token: Token | None = None,
    ) -> None:
        """Set the parts of the result that exist."""
        self._error = error
        self._account = account
        self._token = token

    def get_error(self) -> MSALRuntimeError | None:
        """Return the error, or None if the request succeeded."""
        return self._error

    def get_account(self) -> MSALRuntimeAccount | None:
        """Return the account of the token, or the account that was found, or None."""
        return self._account

    def get_access_token(self) -> str:
        """Return the access token, or an empty string if there is none."""
        return self._token.token if self._token else ""

    def get_access_token_expiry_time(self) -> int:
        """Return when the token expires, in seconds since 1970 (UTC), or 0 if there is none."""
        return self._token.expires_on if self._token else 0

    def get_granted_scopes(self) -> list[str]:
        """Return the scopes that the provider granted, which include all requested scopes."""
        return list(self._token.scopes) if self._token else []

    def is_pop_authorization(self) -> bool:
        """Return whether the token is a signed HTTP request."""
        return self._token is not None and self._token.token_type == "pop"  # noqa: S105

    def get_authorization_header(self) -> str:
        """Return the value of the HTTP header `Authorization`, or an empty string."""
        return f"{self._token.token_type} {self._token.token}" if self._token else ""

    def get_raw_id_token(self) -> str:
        """Return the ID token as a JWT, or an empty string if there is none."""
        return (self._token and self._token._id_token) or ""

    def get_id_token(self) -> str:
        """Return the claims of the ID token as JSON, or an empty string if there is none."""
        _, _, rest = self.get_raw_id_token().partition(".")
        payload = rest.partition(".")[0]
        return base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()

    def get_telemetry_data(self) -> dict[str, str]:
        """Return where the broker got the token from. No account is named."""
        return {"keybearer_source": self._token.source} if self._token else {}


Callback = Callable[[MSALRuntimeResult], object]


class CallbackData:
    """Lets a thread wait for a result: `signal` is set once `result` is."""

    def __init__(self, is_interactive: bool = False) -> None:
        """Prepare for the next request of this thread."""
        self.is_interactive = is_interactive
        self.result: MSALRuntimeResult | None = None
        self.signal = _Signal()
        _thread.signal = self.signal

    def complete(self, result: MSALRuntimeResult) -> None:
        """Set the result and wake the waiting thread."""
        self.result = result
        self.signal.set()


class _Signal(threading.Event):
    """Cancels the request if the waiting thread is interrupted, for example by Ctrl-C."""

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
        """Call the program's callback, whose exceptions must not end a request."""
        if self.callback:
            try:
                self.callback(message, LogLevel.DEBUG)
            except Exception:
                message = "the program's logging callback failed"
                logging.getLogger(__name__).debug(message, exc_info=True)


_thread = _Thread()
_log = _Log()
_runtime: Runtime | None = None


def _broker() -> Runtime:
    global _runtime  # noqa: PLW0603 - there is one broker
    if _runtime is None:
        _runtime = Runtime()
    return _runtime


def register_logging_callback(callback: Callable[[str, LogLevel], object]) -> None:
    """Find or start this machine's broker, and call `callback` with the log lines of all requests.

    :raises RuntimeError: There is no broker and none can be started. MSAL then signs in itself.
    """
    global _runtime  # noqa: PLW0603
    call = _broker().connect()
    with _start(call) as waiting:
        try:
            waiting.recv(1)
        except BaseException:
            call.cancel()
            raise
    found: str | MSALRuntimeError = call.result()
    if isinstance(found, MSALRuntimeError):
        # A new attempt must read the environment again.
        _runtime = None
        raise RuntimeError(found.get_context())
    _log.callback = callback
    _log.write(f"connected to {found}")


def set_is_pii_enabled(enabled: int) -> None:
    """Set whether log lines name accounts. Secrets are never logged."""
    _log.names_accounts = bool(enabled)


def get_console_window() -> int:
    """Return 0: brokers on Linux need no window."""
    return 0


def get_desktop_window() -> int:
    """Return 0: brokers on Linux need no window."""
    return 0


def signin_silently(
    parameters: MSALRuntimeAuthParameters, correlation_id: str, callback: Callback
) -> RuntimeCall:
    """Get a token of the account that signed in last, without a prompt."""
    call = _broker().acquire_silently(parameters, correlation_id, None)
    return _run(call, _on_token("signin_silently", correlation_id, callback))


def acquire_token_silently(
    parameters: MSALRuntimeAuthParameters,
    correlation_id: str,
    account: MSALRuntimeAccount,
    callback: Callback,
) -> RuntimeCall:
    """Get a token of this account, without a prompt."""
    call = _broker().acquire_silently(parameters, correlation_id, account.home_account_id)
    return _run(call, _on_token("acquire_token_silently", correlation_id, callback))


def signin_interactively(
    parent_window_handle: int,  # noqa: ARG001
    parameters: MSALRuntimeAuthParameters,
    correlation_id: str,
    login_hint: str | None,
    callback: Callback,
) -> RuntimeCall:
    """Get a token of the account `login_hint`, or of one that the person picks, with a prompt."""
    call = _broker().acquire_interactively(parameters, correlation_id, login_hint)
    return _run(call, _on_token("signin_interactively", correlation_id, callback))


def read_account_by_id(account_id: str, correlation_id: str, callback: Callback) -> RuntimeCall:
    """Find a connected account by its object id; the result has no account if it is not connected.

    The object id is the one in the home tenant, or in the tenant where the account was last used.
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

    return _run(_broker().accounts(correlation_id), done)


def signout_silently(
    client_id: str, correlation_id: str, account: MSALRuntimeAccount, callback: Callback
) -> None:
    """Sign the account out of this app, in this process only.

    Other programs stay signed in. The command `keybearer logout` signs out of all programs.
    """
    error = _broker().sign_out(client_id, account.home_account_id)
    if error:
        callback(_failed("signout_silently", correlation_id, error))
        return
    _log.write(f"signout_silently {correlation_id}: signed out")
    callback(MSALRuntimeResult())


def install() -> None:
    """Make MSAL import this module instead of Microsoft's runtime. A second call does nothing.

    :raises RuntimeError: Microsoft's runtime is already loaded, and MSAL would keep using it.
    """
    module = sys.modules[__name__]
    if sys.modules.setdefault(NAME, module) is not module:
        raise RuntimeError(
            f"{NAME} is already loaded from {getattr(sys.modules[NAME], '__file__', None)}; "
            "call keybearer.install_msal_runtime() before MSAL is first used with a broker"
        )


def _on_token(
    operation: str, correlation_id: str, callback: Callback
) -> Callable[[Token | MSALRuntimeError], None]:
    def done(outcome: Token | MSALRuntimeError) -> None:
        if isinstance(outcome, MSALRuntimeError):
            callback(_failed(operation, correlation_id, outcome))
            return
        account = f" of {outcome.username}" if _log.names_accounts else ""
        _log.write(f"{operation} {correlation_id}: got a token{account} from {outcome.source}")
        account = MSALRuntimeAccount(outcome.home_account_id, outcome.username)
        callback(MSALRuntimeResult(account=account, token=outcome))

    return done


def _failed(operation: str, correlation_id: str, error: MSALRuntimeError) -> MSALRuntimeResult:
    # The message of the error may name accounts.
    details = f": {error.get_context()}" if _log.names_accounts else ""
    _log.write(f"{operation} {correlation_id}: {error.get_status().name}{details}")
    return MSALRuntimeResult(error=error)


def _run(call: RuntimeCall, done: Callable[[Any], None]) -> RuntimeCall:
    """Start the call and pass its result to `done` in a new thread.

    An interrupt of the thread that waits with this thread's CallbackData cancels the call.
    """
    waiting = _start(call)

    def wait() -> None:
        with waiting:
            waiting.recv(1)
        done(call.result())

    threading.Thread(target=wait, name="keybearer", daemon=True).start()
    if _thread.signal:
        _thread.signal.call = call
    return call


def _start(call: RuntimeCall) -> socket.socket:
    """Start the call; return a socket that reaches its end of file when the call has finished."""
    waiting = socket.socket(fileno=call.start())
    # The program may have set a default timeout for sockets.
    waiting.settimeout(None)
    return waiting
