"""busctl of systemd, against our broker."""

import json

import pytest

from machine import INTERFACE, NAME, PATH


def busctl(desk, *arguments):
    address = desk.environment["DBUS_SESSION_BUS_ADDRESS"]
    output = desk.run(["busctl", f"--address={address}", *arguments])
    assert output.status == 0, output
    return output.stdout


def call(desk, method, request):
    reply = busctl(desk, "--json=short", "call", NAME, PATH, INTERFACE, method, "sss", "0.0", "a-b-c", json.dumps(request))
    [text] = json.loads(reply)["data"]
    return json.loads(text)


def test_introspects_the_eight_methods(desk):
    words = busctl(desk, "introspect", NAME, PATH, INTERFACE)
    methods = [line.split() for line in words.splitlines() if " method " in line]
    assert len(methods) == 8 and {tuple(method[1:4]) for method in methods} == {("method", "sss", "s")}, words


def test_asks_for_version_accounts_and_token(desk):
    assert desk.keybearer("login").status == 0
    assert call(desk, "getLinuxBrokerVersion", {"msalCppVersion": "1.31.0"})["linuxBrokerVersion"]
    [account] = call(desk, "getAccounts", {"clientId": "04b07795-8ddb-461a-bbee-02f9e1bf7b46"})["accounts"]
    assert account["username"] == "dev@contoso.example"
    parameters = {
        "account": account,
        "authority": "https://login.microsoftonline.com/organizations",
        "authorizationType": 1,
        "clientId": "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
        "requestedScopes": ["https://storage.azure.com/.default"],
    }
    token = call(desk, "acquireTokenSilently", {"authParameters": parameters})["brokerTokenResponse"]
    assert token["accessToken"].count(".") == 2 and token["accessTokenType"] == 0
    assert call(desk, "removeAccount", {"account": account}) == {}
    refused = call(desk, "acquireTokenSilently", {"authParameters": parameters})["brokerTokenResponse"]
    assert refused["error"]["status"] == 2, refused


@pytest.mark.parametrize("request_json", ["", "{}", "[]", "nonsense"])
def test_nothing_it_sends_ends_the_broker(desk, request_json):
    for method in ("cancelInteractiveFlow", "acquireTokenSilently", "acquirePrtSsoCookie"):
        busctl(desk, "call", NAME, PATH, INTERFACE, method, "sss", "", "", request_json)
    assert desk.status()["bus"]["state"] == "owned"
