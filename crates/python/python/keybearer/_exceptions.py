"""The exceptions, and the table that maps each kind of failure to one of them.

Importing this module imports ``azure.core.exceptions``, so it is imported when a request fails.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

try:
    from azure.core.exceptions import ClientAuthenticationError
except ImportError:

    class ClientAuthenticationError(Exception):  # type: ignore[no-redef]
        """A class like azure-core's, for programs without azure-core."""

        def __init__(self, message: object = None) -> None:
            """Set the message."""
            self.message = str(message)
            super().__init__(self.message)


class AuthenticationError(ClientAuthenticationError):
    """Authentication failed.

    The message contains the server's error code, the correlation ID and the hint.

    :ivar str kind: The kind of failure: ``unavailable``, ``interaction_required``, ``cancelled``,
        ``timed_out``, ``transient`` (retry after ``retry_after``), ``denied``, ``invalid_request``,
        ``protocol`` or ``internal``.
    :ivar code: The server's error code, such as ``AADSTS50011``, or None.
    :ivar correlation_id: The ID of the request in the logs of the broker and the server, or None.
    :ivar trace_id: The server's own ID of the request, or None.
    :ivar retry_after: The seconds that the server asked clients to wait before a retry, or None.
    :ivar hint: The next step for the person, such as a command to run, or None.
    """

    kind: str = "internal"
    code: str | None = None
    correlation_id: str | None = None
    trace_id: str | None = None
    retry_after: float | None = None
    hint: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without the previous exception, which azure-core stores and pickle may refuse."""
        attributes = {**vars(self), **dict.fromkeys(("exc_type", "exc_value", "exc_traceback"))}
        return _restore, (getattr(type(self), "_own", type(self)), self.args), attributes


class CredentialUnavailableError(AuthenticationError):
    """No broker, no network or no way to prompt is available. A chain tries its next credential."""

    kind = "unavailable"


class AuthenticationRequiredError(CredentialUnavailableError):
    """Sign-in is required, but the credential has ``disable_automatic_authentication=True``.

    Call the credential's ``authenticate`` with ``scopes`` and ``claims`` of this exception.
    """

    kind = "interaction_required"

    def __init__(
        self,
        scopes: Iterable[str],
        message: str | None = None,
        claims: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Take the arguments of azure-identity's class."""
        self._scopes = scopes
        self._claims = claims
        message = message or "sign-in is required to get a token"
        # Not super(): azure-identity's class may come between this one and the base.
        ClientAuthenticationError.__init__(self, message=message, **kwargs)

    @property
    def scopes(self) -> Iterable[str]:
        """The scopes of the request that failed."""
        return self._scopes

    @property
    def claims(self) -> str | None:
        """The claims that the sign-in must satisfy, as JSON, or None."""
        return self._claims


CLASSES: dict[str, type[AuthenticationError]] = {
    "unavailable": CredentialUnavailableError,
    "interaction_required": AuthenticationRequiredError,
    "cancelled": AuthenticationError,
    "timed_out": AuthenticationError,
    "transient": AuthenticationError,
    "denied": AuthenticationError,
    "invalid_request": AuthenticationError,
    "protocol": AuthenticationError,
    "internal": AuthenticationError,
}


def for_kind(  # noqa: PLR0913 - called by the native module only, with all arguments
    kind: str,
    message: str,
    *,
    details: Mapping[str, Any],
    scopes: tuple[str, ...],
    claims: str | None,
    silent_only: bool,
) -> AuthenticationError:
    """Make the exception for a failure.

    If the credential was allowed to prompt, ``interaction_required`` means that the sign-in was
    refused. That must end a chain, so the exception is then a plain AuthenticationError.
    """
    own = CLASSES[kind]
    if own is AuthenticationRequiredError and not silent_only:
        own = AuthenticationError
    raised = _class_to_raise(own)
    error: AuthenticationError
    if own is AuthenticationRequiredError:
        error = raised(scopes, message=message, claims=claims)
    else:
        error = raised(message=message)
    error.kind = kind
    for name, value in details.items():
        setattr(error, name, value)
    return error


def _restore(own: type[AuthenticationError], args: tuple[Any, ...]) -> AuthenticationError:
    """Make a pickled exception without its ``__init__``, of the class that this process raises."""
    raised = _class_to_raise(own)
    error: AuthenticationError = raised.__new__(raised, *args)
    return error


def _class_to_raise(own: type[AuthenticationError]) -> type[Any]:
    """Return the class, combined with azure-identity's of the same name if that is loaded.

    azure-identity's chains look for its own classes, and programs may catch either.
    """
    identity = sys.modules.get("azure.identity")
    return _combined(own, getattr(identity, own.__name__, None))  # type: ignore[arg-type]


@cache
def _combined(own: type[AuthenticationError], identity: type | None) -> type[Any]:
    if identity is None:
        return own
    members = {"__module__": own.__module__, "__doc__": own.__doc__, "_own": own}
    return type(own.__name__, (own, identity), members)
