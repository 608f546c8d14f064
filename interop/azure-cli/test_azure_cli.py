"""Azure CLI, unmodified, signs in through this machine's broker (docs/msal-runtime.md)."""

import importlib.metadata
import json
import sys

import pytest

from conftest import TEST_LIMIT

DEV = "dev@contoso.example"
CONTAINERS = ("storage", "container", "list", "--auth-mode", "login", "--account-name", "devstoreaccount1")

BY_SDK = """
from azure.identity import AzureCliCredential
print(AzureCliCredential(process_timeout=120).get_token("https://vault.azure.net/.default").token.count("."))
"""


def test_microsofts_runtime_is_not_here():
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("pymsalruntime")


def test_one_sign_in_serves_its_commands_and_the_sdk_until_it_signs_out(az):
    signed_in = az("login")
    assert signed_in.status == 0, signed_in
    [subscription] = json.loads(signed_in.stdout)
    assert subscription["user"] == {"name": DEV, "type": "user"}
    # The broker signed in, and only the broker keeps the refresh token.
    assert az.machine.status()["accounts"] == 1
    assert az.secrets() == []
    for more in ([], ["--resource", "https://vault.azure.net"]):
        token = az("account", "get-access-token", *more)
        assert token.status == 0, token
        assert json.loads(token.stdout)["accessToken"].count(".") == 2
    listed = az(*CONTAINERS, "--query", "[].name")
    assert (listed.status, json.loads(listed.stdout)) == (0, ["alpha", "beta"]), listed
    by_sdk = az.machine.run([sys.executable, "-c", BY_SDK], timeout=TEST_LIMIT)
    assert (by_sdk.status, by_sdk.stdout) == (0, "2\n"), by_sdk
    assert az.machine.visits() == 1
    assert az.secrets() == []
    assert az("logout").status == 0
    refused = az("account", "get-access-token")
    assert refused.status == 1
    assert "az login" in refused.stderr


def test_whoever_is_connected_to_the_broker_need_only_be_picked(az):
    assert az.machine.keybearer("login").status == 0
    signed_in = az("login")
    assert signed_in.status == 0, signed_in
    assert json.loads(signed_in.stdout)[0]["user"]["name"] == DEV
    # No second password: the account was picked on the broker's page.
    assert len(az.machine.grants("authorization_code")) == 1


def test_a_person_who_declines_is_told_so_and_nothing_is_kept(az):
    az.machine.person("dev", "--deny")
    refused = az("login")
    assert refused.status == 1
    assert "cancelled the sign-in" in refused.stderr, refused
    assert az.machine.status()["accounts"] == 0
