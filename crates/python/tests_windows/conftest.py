"""What the tests on Windows share: the emulator, which xtask starts and describes."""

from __future__ import annotations

import os

import keybearer
import pytest

STORAGE = "https://storage.azure.com/.default"

CONTAINERS = ["alpha", "beta"]
"""What is in the emulator's storage account."""


@pytest.fixture(scope="session")
def signed_in() -> keybearer.InteractiveBrowserBrokerCredential:
    """A credential that signs its person in with the browser, at the emulator."""
    return keybearer.InteractiveBrowserBrokerCredential(
        authority=os.environ["TEST_AUTHORITY"],
        tenant_id=os.environ["TEST_TENANT"],
        broker="never",
        timeout=60,
    )
