"""The behaviour that azure-identity-broker's own tests cover, with a real sign-in (table in docs/drop-in.md)."""

import re

PRELUDE = """
import msal
from azure.core import PipelineClient
from azure.core.rest import HttpRequest
from azure.identity.broker import InteractiveBrowserBrokerCredential, PopTokenRequestOptions
STORAGE = "https://storage.azure.com/.default"
WINDOW = msal.PublicClientApplication.CONSOLE_WINDOW_HANDLE
"""

DEFAULT_ACCOUNT = """
credential = InteractiveBrowserBrokerCredential(
    parent_window_handle="window_handle", use_default_broker_account=True, timeout=30)
print(credential.acquire(STORAGE).username)
"""

SIGNED_REQUEST = """
url = "https://devstoreaccount1.blob.core.windows.net/pop/thing?a=1"
client = PipelineClient(base_url=url)
def send(kind, token):
    return client.send_request(HttpRequest("GET", url, headers={"Authorization": f"{kind} {token}"})).status_code
credential = InteractiveBrowserBrokerCredential(parent_window_handle=WINDOW, timeout=30)
pop = {"nonce": "a nonce", "resource_request_url": url, "resource_request_method": "GET"}
signed = credential.get_token_info(STORAGE, options=PopTokenRequestOptions({"pop": pop}))
bearer = credential.get_token_info(STORAGE, options=PopTokenRequestOptions({"pop": False}))
print(signed.token_type, send(signed.token_type, signed.token))
print(bearer.token_type, send(signed.token_type, bearer.token))
"""

TAKEN_PORT = """
import keybearer, socket
listener = socket.create_server(("127.0.0.1", 0))
redirect_uri = f"http://localhost:{listener.getsockname()[1]}"
credential = InteractiveBrowserBrokerCredential(redirect_uri=redirect_uri, broker="never", timeout=30)
try:
    credential.get_token(STORAGE)
except keybearer.AuthenticationError as error:
    print(error.kind, error)
"""


def run(machine, environment, program):
    output = machine.run([environment.python, "-c", PRELUDE + program])
    assert output.status == 0, output
    return output.stdout.splitlines()


def test_default_account_is_used_without_asking_which(machine, without_identity):
    for name in ("dev", "ops"):
        machine.person(name)
        assert machine.keybearer("login", "--login-hint", f"{name}@contoso.example").status == 0
    visits = machine.visits()
    assert run(machine, without_identity, DEFAULT_ACCOUNT) == ["ops@contoso.example"]
    assert machine.visits() == visits


def test_signed_request_is_accepted_and_a_bearer_token_in_its_place_is_not(machine, without_identity):
    signed, bearer = run(machine, without_identity, SIGNED_REQUEST)
    assert signed == "pop 200"
    assert bearer == "Bearer 401"


def test_port_of_a_redirect_uri_is_named_when_it_is_taken_and_no_other_is_tried(machine, without_identity):
    """azure-identity's test_cannot_bind_redirect_uri."""
    [printed] = run(machine, without_identity, TAKEN_PORT)
    assert re.match("unavailable .*listen on port ", printed), printed
    assert machine.visits() == 0
