"""Fixtures of the tests on Windows. xtask starts the emulator and describes it by variables."""

from __future__ import annotations

import os

import keybearer
import pytest

STORAGE = "https://storage.azure.com/.default"

CONTAINERS = ["alpha", "beta"]
"""The containers in the emulator's storage account."""


@pytest.fixture(scope="session")
def signed_in() -> keybearer.InteractiveBrowserBrokerCredential:
    """A credential that signs in at the emulator with the browser."""
    return keybearer.InteractiveBrowserBrokerCredential(
        authority=os.environ["TEST_AUTHORITY"],
        tenant_id=os.environ["TEST_TENANT"],
        broker="never",
        timeout=60,
    )
