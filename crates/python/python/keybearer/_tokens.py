"""What Azure clients are given. Imported with the first token, because azure-core is not cheap."""

from __future__ import annotations

from typing import NamedTuple

try:
    from azure.core.credentials import AccessToken
except ImportError:

    class AccessToken(NamedTuple):  # type: ignore[no-redef]
        """The shape of azure-core's, for programs without azure-core."""

        token: str
        expires_on: int


try:
    from azure.core.credentials import AccessTokenInfo
except ImportError:

    class AccessTokenInfo:  # type: ignore[no-redef]
        """The shape of azure-core's, for programs without it or with one older than 1.31."""

        def __init__(
            self,
            token: str,
            expires_on: int,
            *,
            token_type: str = "Bearer",  # noqa: S107 - not a password
            refresh_on: int | None = None,
        ) -> None:
            """Keep the values; times are in seconds since 1970."""
            self.token = token
            self.expires_on = expires_on
            self.token_type = token_type
            self.refresh_on = refresh_on


__all__ = ["AccessToken", "AccessTokenInfo"]
