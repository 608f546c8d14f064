"""Fetches a token with both classes of the wheel that is installed in the directory `argv[1]`."""

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
assert asyncio.run(fetch()).token == token, "the two classes did not get the same token"
print(f"CPython {platform.python_version()}, {platform.machine()}: token of {len(token)} characters")
