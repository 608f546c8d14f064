"""The exceptions, and the one table of which kind of failure becomes which.

Importing this module imports ``azure.core.exceptions``, so it is imported when something failed.
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
        """The shape of azure-core's, for programs without azure-core."""

        def __init__(self, message: object = None) -> None:
            """Keep the message."""
            self.message = str(message)
            super().__init__(self.message)


class AuthenticationError(ClientAuthenticationError):
    """No token was had. The text carries the server's code, the correlation id and the next step.

    kind: by what the program does next: "unavailable", "interaction_required", "cancelled",
        "timed_out", "transient", "denied", "invalid_request", "protocol" or "internal".
    code: the server's error code, such as "AADSTS50011", or None.
    correlation_id, trace_id: the request in the server's logs, or None.
    retry_after: seconds the server asked everybody to wait, or None.
    hint: the next step for the person, or None.
    """

    kind: str = "internal"
    code: str | None = None
    correlation_id: str | None = None
    trace_id: str | None = None
    retry_after: float | None = None
    hint: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave the process without what azure-core notes of an exception before this one."""
        attributes = {**vars(self), **dict.fromkeys(("exc_type", "exc_value", "exc_traceback"))}
        return _restored, (getattr(type(self), "_own", type(self)), self.args), attributes


class CredentialUnavailableError(AuthenticationError):
    """There is nobody to ask: no broker, no network, no way to reach a person. Chains go on."""

    kind = "unavailable"


class AuthenticationRequiredError(CredentialUnavailableError):
    """A person has to take part, and the credential is configured not to ask one."""

    kind = "interaction_required"

    def __init__(
        self,
        scopes: Iterable[str],
        message: str | None = None,
        claims: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Take what azure-identity's takes."""
        self._scopes = scopes
        self._claims = claims
        message = message or "a person has to sign in to get a token"
        # Not super(): azure-identity's class may be between this one and the base.
        ClientAuthenticationError.__init__(self, message=message, **kwargs)

    @property
    def scopes(self) -> Iterable[str]:
        """What was asked for."""
        return self._scopes

    @property
    def claims(self) -> str | None:
        """What the sign-in must satisfy, as JSON, or None."""
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


def for_kind(  # noqa: PLR0913 - called by the native module only, with all of them
    kind: str,
    message: str,
    *,
    details: Mapping[str, Any],
    scopes: tuple[str, ...],
    claims: str | None,
    silent_only: bool,
) -> AuthenticationError:
    """Make the exception of a failure.

    A credential that may ask a person, and did, has been refused: chains must not go on then.
    """
    own = CLASSES[kind]
    if own is AuthenticationRequiredError and not silent_only:
        own = AuthenticationError
    raised = _raised(own)
    error: AuthenticationError
    if own is AuthenticationRequiredError:
        error = raised(scopes, message=message, claims=claims)
    else:
        error = raised(message=message)
    error.kind = kind
    for name, value in details.items():
        setattr(error, name, value)
    return error


def _restored(own: type[AuthenticationError], args: tuple[Any, ...]) -> AuthenticationError:
    """Make it without its ``__init__``, as what this process would raise."""
    raised = _raised(own)
    error: AuthenticationError = raised.__new__(raised, *args)
    return error


def _raised(own: type[AuthenticationError]) -> type[Any]:
    """Our class, which is azure-identity's of the same name too if the program has that loaded.

    Its chains go by its classes, and programs may catch either.
    """
    identity = sys.modules.get("azure.identity")
    return _both(own, getattr(identity, own.__name__, None))  # type: ignore[arg-type]


@cache
def _both(own: type[AuthenticationError], identity: type | None) -> type[Any]:
    if identity is None:
        return own
    members = {"__module__": own.__module__, "__doc__": own.__doc__, "_own": own}
    return type(own.__name__, (own, identity), members)
