"""The wheel in a CPython for Windows without Web Account Manager, which Wine does not have."""

from __future__ import annotations

import asyncio
import os
import sys

import keybearer
import keybearer.aio
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.storage.blob import BlobServiceClient
from conftest import CONTAINERS, STORAGE


def test_this_is_a_python_of_windows() -> None:
    assert sys.platform == "win32"
    assert keybearer._native.__file__.endswith("_native.pyd")


@pytest.mark.parametrize("broker", ["auto", "required"])
def test_a_chain_is_told_that_there_is_no_broker(broker: str) -> None:
    credential = keybearer.InteractiveBrowserBrokerCredential(broker=broker, timeout=20)
    with pytest.raises(keybearer.CredentialUnavailableError, match="0x80040154") as raised:
        credential.get_token(STORAGE)
    assert isinstance(raised.value, ClientAuthenticationError)


def test_a_program_that_wants_no_broker_signs_in_with_the_browser(
    signed_in: keybearer.InteractiveBrowserBrokerCredential,
) -> None:
    token = signed_in.acquire(STORAGE)
    assert (token.username, token.source) == (os.environ["KEYBEARER_BROWSE_USER"], "sign-in")
    with BlobServiceClient(os.environ["TEST_BLOB_ENDPOINT"], credential=signed_in) as service:
        assert [container.name for container in service.list_containers()] == CONTAINERS


def test_a_task_is_told_as_well() -> None:
    async def ask() -> None:
        async with keybearer.aio.InteractiveBrowserBrokerCredential(timeout=20) as credential:
            await credential.get_token(STORAGE)

    with pytest.raises(keybearer.CredentialUnavailableError, match="0x80040154"):
        asyncio.run(ask())
