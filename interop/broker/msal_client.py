"""Runs steps with MSAL Python and Microsoft's runtime in this one process and prints the results as JSON.

Tokens are not printed, only their claims.
"""

import base64
import json
import re
import sys
import threading
import uuid

import msal
import pymsalruntime

APP = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
WINDOW = msal.PublicClientApplication.CONSOLE_WINDOW_HANDLE
TEST_LIMIT = 60


class Client:
    def __init__(self):
        self.app(APP)

    def app(self, client_id=APP, authority="https://login.microsoftonline.com/organizations", capabilities=None):
        self.client_id, self.authority = client_id, authority
        self._app = msal.PublicClientApplication(
            client_id,
            authority=authority,
            client_capabilities=capabilities,
            instance_discovery=False,
            enable_broker_on_linux=True,
        )
        return {"broker": self._app._enable_broker}

    def interactive(self, scope, **kwargs):
        return without_secrets(self._app.acquire_token_interactive([scope], parent_window_handle=WINDOW, **kwargs))

    def silent(self, scope, user=None, **kwargs):
        [account] = self._app.get_accounts(user)
        return without_secrets(self._app.acquire_token_silent_with_error([scope], account, **kwargs))

    def sign_out(self, user):
        [account] = self._app.get_accounts(user)
        self._app.remove_account(account)
        return self.accounts()

    def accounts(self):
        return sorted(account["username"] for account in self._app.get_accounts())

    def discover(self):
        """The accounts in the runtime's own list."""
        result = wait(lambda done: pymsalruntime.discover_accounts(self.client_id, str(uuid.uuid4()), done))
        return sorted(account.get_user_name() for account in result.get_accounts())

    def renew(self, scope, user):
        """Get a token, then ask for another one to replace it."""
        account = self._runtime_account(user)
        first = wait(lambda done: pymsalruntime.acquire_token_silently(
            self._parameters(scope), str(uuid.uuid4()), account, done))
        parameters = self._parameters(scope)
        parameters.set_access_token_to_renew(first.get_access_token())
        second = wait(lambda done: pymsalruntime.acquire_token_silently(
            parameters, str(uuid.uuid4()), account, done))
        return {"renewed": first.get_access_token() != second.get_access_token(), **outcome(second)}

    def cancelled(self, scope):
        """Start a sign-in and cancel it at once."""
        def begin(done):
            parameters = self._parameters(scope)
            handle = pymsalruntime.signin_interactively(1, parameters, str(uuid.uuid4()), None, done)
            handle.cancel_async_operation()
        return outcome(wait(begin))

    def _runtime_account(self, user):
        result = wait(lambda done: pymsalruntime.discover_accounts(self.client_id, str(uuid.uuid4()), done))
        [account] = [account for account in result.get_accounts() if account.get_user_name() == user]
        return account

    def _parameters(self, scope):
        parameters = pymsalruntime.MSALRuntimeAuthParameters(self.client_id, self.authority)
        parameters.set_requested_scopes([scope])
        parameters.set_redirect_uri("https://login.microsoftonline.com/common/oauth2/nativeclient")
        return parameters


def wait(begin):
    done, results = threading.Event(), []
    begin(lambda result: (results.append(result), done.set()))
    assert done.wait(TEST_LIMIT), "the runtime did not answer"
    return results[0]


def outcome(result):
    if error := result.get_error():
        return {"status": str(error.get_status()).rpartition("_")[2], "context": error.get_context()}
    return {"claims": claims_of(result.get_access_token())}


def without_secrets(result):
    if result is None:
        return None
    if "access_token" not in result:
        description = result.get("error_description", "")
        status = re.search(r"Status: Response_Status\.Status_(\w+)", description)
        return {"error": result["error"], "status": status and status[1], "description": description}
    kept = {name: result.get(name) for name in ("token_source", "scope", "id_token_claims")}
    return {"claims": claims_of(result["access_token"]), **kept}


def claims_of(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


if __name__ == "__main__":
    client = Client()
    answers = [getattr(client, name)(**arguments) for name, arguments in json.loads(sys.argv[1])]
    print(json.dumps(answers))
