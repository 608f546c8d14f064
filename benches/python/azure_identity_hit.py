"""The peer of the rows about cache hits: azure-identity with a filled token cache.

`azure_identity_hit.py ROW ACCOUNTS`. The cache holds an access, a refresh and an id token of the usual
sizes for each account, as a persisted cache would; an AuthenticationRecord identifies the credential's
own. The class without a broker is measured: with one, msal would load a runtime that needs a desktop's
libraries and ask it instead of the cache. Prints the processor time of one get_token in nanoseconds,
which does not depend on the load of other programs.
"""

import base64
import json
import sys
import time

import msal
from azure.identity import AuthenticationRecord, InteractiveBrowserCredential

TENANT = "11111111-1111-4111-8111-111111111111"
OBJECT = "aaaaaaaa-0000-4000-8000-000000000001"
CLIENT = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
HOME = f"{OBJECT}.{TENANT}"
HOST = "login.microsoftonline.com"
SCOPE = "https://storage.azure.com/.default"
NAME = "dev@contoso.example"
BATCHES = 15


class Response:
    """The HTTP response with the OpenID configuration, the only document that msal requests here."""

    status_code = 200
    headers = {}
    text = json.dumps(
        {
            "issuer": f"https://{HOST}/{TENANT}/v2.0",
            "authorization_endpoint": f"https://{HOST}/{TENANT}/oauth2/v2.0/authorize",
            "token_endpoint": f"https://{HOST}/{TENANT}/oauth2/v2.0/token",
        }
    )

    def raise_for_status(self):
        pass


def cache(accounts):
    """A cache as msal fills it, with the credential's own account first."""
    filled = msal.TokenCache()
    fill(filled, OBJECT, NAME)
    for number in range(1, accounts):
        fill(filled, f"bbbbbbbb-0000-4000-8000-{number:012}", f"person{number}@contoso.example")
    return filled


def fill(filled, object_id, name):
    encode = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
    claims = {
        "oid": object_id, "tid": TENANT, "preferred_username": name, "sub": "s", "aud": CLIENT,
        "iss": f"https://{HOST}/{TENANT}/v2.0", "exp": int(time.time()) + 86400,
        "iat": int(time.time()), "padding": "x" * 500,
    }
    filled.add(
        {
            "client_id": CLIENT,
            "scope": [SCOPE],
            "token_endpoint": f"https://{HOST}/{TENANT}/oauth2/v2.0/token",
            "response": {
                "token_type": "Bearer",
                "access_token": "t" * 1800,
                "refresh_token": "r" * 1300,
                "id_token": f"{encode({'alg': 'RS256'})}.{encode(claims)}.{'s' * 300}",
                "client_info": encode({"uid": object_id, "utid": TENANT}),
                "expires_in": 86400,
                "scope": SCOPE,
            },
        }
    )


def credential(accounts):
    record = AuthenticationRecord(TENANT, CLIENT, HOST, HOME, NAME)
    made = InteractiveBrowserCredential(
        tenant_id=TENANT,
        client_id=CLIENT,
        authentication_record=record,
        disable_instance_discovery=True,
        disable_automatic_authentication=True,
        _cache=cache(accounts),
    )
    made._client.get = lambda *_, **__: Response()
    made._client.post = None
    return made


def main():
    row, accounts = sys.argv[1], int(sys.argv[2])
    # A call with 10,000 accounts takes a thousand times as long.
    calls = max(2000 // accounts, 2)
    get_token = credential(accounts).get_token
    assert get_token(SCOPE).token == "t" * 1800
    batches = []
    for _ in range(BATCHES):
        start = time.thread_time()
        for _ in range(calls):
            get_token(SCOPE)
        batches.append((time.thread_time() - start) / calls * 1e9)
    figure = {"row": row, "what": "peer", "value": sorted(batches)[BATCHES // 2]}
    print(json.dumps({**figure, "unit": "ns", "n": BATCHES}))


if __name__ == "__main__":
    main()
