"""busctl of systemd as a client of Keybearer's broker."""

import json

import pytest

from machine import INTERFACE, NAME, PATH


def busctl(machine, *arguments):
    address = machine.environment["DBUS_SESSION_BUS_ADDRESS"]
    output = machine.run(["busctl", f"--address={address}", *arguments])
    assert output.status == 0, output
    return output.stdout


def call(machine, method, request):
    reply = busctl(machine, "--json=short", "call", NAME, PATH, INTERFACE, method, "sss", "0.0", "a-b-c", json.dumps(request))
    [text] = json.loads(reply)["data"]
    return json.loads(text)


def test_introspects_the_eight_methods(machine):
    words = busctl(machine, "introspect", NAME, PATH, INTERFACE)
    methods = [line.split() for line in words.splitlines() if " method " in line]
    assert len(methods) == 8 and {tuple(method[1:4]) for method in methods} == {("method", "sss", "s")}, words


def test_asks_for_version_accounts_and_token(machine):
    assert machine.keybearer("login").status == 0
    assert call(machine, "getLinuxBrokerVersion", {"msalCppVersion": "1.31.0"})["linuxBrokerVersion"]
    [account] = call(machine, "getAccounts", {"clientId": "04b07795-8ddb-461a-bbee-02f9e1bf7b46"})["accounts"]
    assert account["username"] == "dev@contoso.example"
    parameters = {
        "account": account,
        "authority": "https://login.microsoftonline.com/organizations",
        "authorizationType": 1,
        "clientId": "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
        "requestedScopes": ["https://storage.azure.com/.default"],
    }
    token = call(machine, "acquireTokenSilently", {"authParameters": parameters})["brokerTokenResponse"]
    assert token["accessToken"].count(".") == 2 and token["accessTokenType"] == 0
    assert call(machine, "removeAccount", {"account": account}) == {}
    refused = call(machine, "acquireTokenSilently", {"authParameters": parameters})["brokerTokenResponse"]
    assert refused["error"]["status"] == 2, refused


@pytest.mark.parametrize("request_json", ["", "{}", "[]", "nonsense"])
def test_nothing_it_sends_ends_the_broker(machine, request_json):
    for method in ("cancelInteractiveFlow", "acquireTokenSilently", "acquirePrtSsoCookie"):
        busctl(machine, "call", NAME, PATH, INTERFACE, method, "sss", "", "", request_json)
    assert machine.status()["bus"]["state"] == "owned"
