"""Fetches a token with a wheel that was unpacked into the directory `argv[1]`, by both classes."""

import asyncio
import platform
import sys

sys.path.insert(0, sys.argv[1])

import keybearer  # noqa: E402
import keybearer.aio  # noqa: E402

SCOPE = "https://storage.azure.com/.default"


async def fetch():
    async with keybearer.aio.InteractiveBrowserBrokerCredential(timeout=60) as credential:
        return await credential.get_token(SCOPE)


with keybearer.InteractiveBrowserBrokerCredential(timeout=60) as credential:
    token = credential.get_token(SCOPE).token
assert token.count(".") == 2, "not a JWT"
assert asyncio.run(fetch()).token == token, "both classes ask the same broker"
print(f"CPython {platform.python_version()}, {platform.machine()}: token of {len(token)} characters")
