"""gdbus of GLib as a client of Keybearer's broker."""

import ast
import json

from machine import INTERFACE, NAME, PATH


def gdbus(machine, *arguments):
    output = machine.run(["gdbus", arguments[0], "--session", "--dest", NAME, "--object-path", PATH, *arguments[1:]])
    assert output.status == 0, output
    return output.stdout


def call(machine, method, request):
    reply = gdbus(machine, "call", "--method", f"{INTERFACE}.{method}", "0.0", "a-b-c", json.dumps(request))
    # One string in GVariant's text form, which is also a Python literal.
    return json.loads(ast.literal_eval(reply)[0])


def test_introspects_and_pings(machine):
    assert f"interface {INTERFACE}" in gdbus(machine, "introspect")
    assert gdbus(machine, "call", "--method", "org.freedesktop.DBus.Peer.Ping").strip() == "()"


def test_signs_a_person_in_and_hears_who_it_was(machine):
    """Without a login hint, an account or a redirect URI."""
    parameters = {
        "authority": "https://login.microsoftonline.com/organizations",
        "clientId": "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
        "requestedScopes": ["https://storage.azure.com/.default"],
    }
    token = call(machine, "acquireTokenInteractively", {"authParameters": parameters})["brokerTokenResponse"]
    assert token["account"]["username"] == "dev@contoso.example"
    assert machine.visits() == 1
    [account] = call(machine, "getAccounts", {"clientId": parameters["clientId"]})["accounts"]
    assert account["homeAccountId"] == token["account"]["homeAccountId"]


def test_hears_that_there_is_no_cookie_without_a_registered_device(machine):
    reply = call(machine, "acquirePrtSsoCookie", {"ssoUrl": "https://login.microsoftonline.com/"})
    assert reply["error"]["status"] == 17, reply
