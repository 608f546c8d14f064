"""The classes of tokens for Azure clients.

Imported with the first token and not earlier, because importing azure-core is slow.
"""

from __future__ import annotations

from typing import NamedTuple

try:
    from azure.core.credentials import AccessToken
except ImportError:

    class AccessToken(NamedTuple):  # type: ignore[no-redef]
        """A class like azure-core's, for programs without azure-core."""

        token: str
        expires_on: int


try:
    from azure.core.credentials import AccessTokenInfo
except ImportError:

    class AccessTokenInfo:  # type: ignore[no-redef]
        """A class like azure-core's, for programs with azure-core before 1.31 or without it."""

        def __init__(
            self,
            token: str,
            expires_on: int,
            *,
            token_type: str = "Bearer",  # noqa: S107 - not a password
            refresh_on: int | None = None,
        ) -> None:
            """Set the attributes. Times are in seconds since 1970 (UTC)."""
            self.token = token
            self.expires_on = expires_on
            self.token_type = token_type
            self.refresh_on = refresh_on


__all__ = ["AccessToken", "AccessTokenInfo"]
