"""Tests of the emulator with unmodified Microsoft clients: MSAL Python, azure-identity, azure-storage-blob."""

import base64
import json
import threading

import msal
import pytest
from azure.core import PipelineClient
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.core.pipeline.policies import BearerTokenCredentialPolicy
from azure.core.rest import HttpRequest
from azure.identity import DeviceCodeCredential, InteractiveBrowserCredential
from azure.storage.blob import BlobServiceClient

AZURE = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
SAMPLE = "c0ffee00-1111-4222-8333-444455556666"
STORAGE = "https://storage.azure.com/.default"
ARM = "https://management.core.windows.net//.default"
FABRIKAM = "a1b5e7d3-92c4-4c6d-8f10-5e3d7c9b2f02"


def msal_app(emulator, authority=None, client_id=AZURE, **kwargs):
    return msal.PublicClientApplication(
        client_id,
        authority=f"{emulator.authority_host}/{authority or emulator.tenant}",
        instance_discovery=False,
        **kwargs,
    )


def claims_of(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


# --- MSAL Python


def test_msal_signs_in_then_answers_from_cache_then_refreshes_for_another_scope(emulator, at_browser):
    person = at_browser(emulator.person())
    app = msal_app(emulator)
    result = app.acquire_token_interactive([STORAGE], timeout=20)
    assert "access_token" in result, result
    user = emulator.users["dev@contoso.example"]
    assert claims_of(result["access_token"])["iss"] == f"https://sts.windows.net/{emulator.tenant}/"
    assert result["id_token_claims"]["preferred_username"] == "dev@contoso.example"
    [account] = app.get_accounts()
    assert account["home_account_id"] == f"{user['oid']}.{emulator.tenant}"
    assert person.seen[:2] == ["Sign in", "Enter password"]

    before = len(emulator.requests())
    again = app.acquire_token_silent([STORAGE], account)
    assert again["access_token"] == result["access_token"]
    assert len(emulator.requests()) == before, "the cache was not used"

    other = app.acquire_token_silent([ARM], account)
    assert claims_of(other["access_token"])["aud"] == "https://management.core.windows.net/"
    assert emulator.requests()[-1]["grant"] == "refresh_token"


@pytest.mark.parametrize("authority", ["common", "organizations", "contoso.example"])
def test_msal_finds_its_tokens_again_under_every_name_of_the_authority(emulator, at_browser, authority):
    at_browser(emulator.person())
    app = msal_app(emulator, authority)
    result = app.acquire_token_interactive([STORAGE], timeout=20)
    assert claims_of(result["access_token"])["tid"] == emulator.tenant
    [account] = app.get_accounts()
    again = app.acquire_token_silent([STORAGE], account)
    assert again["access_token"] == result["access_token"]
    assert app.acquire_token_silent([ARM], account)["access_token"]


def test_msal_asks_for_consent_once_and_hears_of_a_refusal(emulator, at_browser):
    person = at_browser(emulator.person("ops@contoso.example", presses=["deny"]))
    app = msal_app(emulator, client_id=SAMPLE)
    refused = app.acquire_token_interactive([STORAGE], timeout=20)
    assert refused["error"] == "access_denied"
    assert refused["error_description"].startswith("AADSTS65004")

    person.presses = ()
    assert "access_token" in app.acquire_token_interactive([STORAGE], timeout=20)
    assert person.seen[-1] == "Working..." and "Permissions requested" in person.seen
    person.seen.clear()
    assert "access_token" in app.acquire_token_interactive([STORAGE], timeout=20)
    assert "Permissions requested" not in person.seen
    assert "Enter password" not in person.seen, "the session's cookie was not used"


@pytest.mark.parametrize(("presses", "error"), [((), None), (("deny",), "authorization_declined")])
def test_msal_device_flow_ends_as_the_person_decides(emulator, presses, error):
    app = msal_app(emulator, "organizations")
    flow = app.initiate_device_flow([STORAGE])
    person = emulator.person(presses=presses)
    threading.Timer(1.5, person.enter_code, [flow["verification_uri"], flow["user_code"].lower()]).start()
    result = app.acquire_token_by_device_flow(flow)
    assert result.get("error") == error, result
    assert ("access_token" in result) == (error is None)
    assert "AADSTS70016" in emulator.outcomes("/token")


def test_msal_hears_which_proof_is_missing_and_gets_it_interactively(emulator, at_browser):
    person = at_browser(emulator.person())
    app = msal_app(emulator)
    app.acquire_token_interactive([STORAGE], timeout=20)
    [account] = app.get_accounts()
    emulator.post("policies", {"resource": "https://management.azure.com", "require": "mfa"})
    refused = app.acquire_token_silent_with_error([ARM], account)
    assert refused["error"] == "interaction_required"
    assert refused["error_codes"] == [50076]
    assert refused["suberror"] == "basic_action"
    result = app.acquire_token_interactive([ARM], claims_challenge=refused["claims"], timeout=20)
    assert "Approve sign-in request" in person.seen
    assert "mfa" in claims_of(result["access_token"])["amr"]


def test_msal_sees_a_guest_under_the_home_account(emulator, at_browser):
    at_browser(emulator.person("guest@fabrikam.example"))
    app = msal_app(emulator)
    result = app.acquire_token_interactive([STORAGE], timeout=20)
    assert result["id_token_claims"]["tid"] == emulator.tenant
    assert result["id_token_claims"]["oid"] == emulator.users["guest@fabrikam.example"]["oid"]
    [account] = app.get_accounts()
    assert account["home_account_id"] == f"22222222-aaaa-4bbb-8ccc-000000000003.{FABRIKAM}"


def test_msal_uses_the_family_refresh_token_and_notices_its_revocation(emulator, at_browser):
    at_browser(emulator.person())
    app = msal_app(emulator)
    result = app.acquire_token_interactive([STORAGE], timeout=20)
    assert result["foci"] == "1"
    [account] = app.get_accounts()
    emulator.post("revoke", {"upn": "dev@contoso.example"})
    refused = app.acquire_token_silent_with_error([ARM], account)
    assert refused["error"] == "invalid_grant"
    assert refused["error_codes"] == [50173]


def test_msal_knows_an_unknown_tenant_by_entras_error(emulator):
    with pytest.raises(ValueError, match="Unable to get authority configuration"):
        msal_app(emulator, "nowhere.example")


def test_msal_rejects_an_id_token_for_another_sign_in(emulator, at_browser):
    at_browser(emulator.person())
    emulator.post("faults", {"endpoint": "token", "action": {"wrong_id_token": "nonce"}})
    with pytest.raises((ValueError, RuntimeError), match="nonce"):
        msal_app(emulator).acquire_token_interactive([STORAGE], timeout=20)


def test_msal_leaves_a_throttling_server_alone(emulator, at_browser):
    at_browser(emulator.person())
    app = msal_app(emulator)
    app.acquire_token_interactive([STORAGE], timeout=20)
    [account] = app.get_accounts()
    status = {"code": 429, "retry_after": 5}
    emulator.post("faults", {"endpoint": "token", "grant": "refresh_token", "action": {"status": status}})
    for _ in range(3):
        app.acquire_token_silent_with_error([ARM], account)
    assert emulator.outcomes("/token").count("429") == 1


# --- azure-identity with azure-storage-blob


@pytest.fixture
def credential(emulator, at_browser):
    def make(upn="dev@contoso.example", tenant=None, **kwargs):
        person = at_browser(emulator.person(upn))
        made = InteractiveBrowserCredential(
            authority=emulator.authority_host,
            tenant_id=tenant or emulator.tenant,
            disable_instance_discovery=True,
            timeout=20,
            **kwargs,
        )
        return made, person

    return make


def blob_service(emulator, credential):
    return BlobServiceClient(emulator.blob_endpoint, credential=credential, connection_verify=emulator.ca)


def test_storage_client_lists_containers_in_pages(emulator, credential):
    service = blob_service(emulator, credential()[0])
    pages = service.list_containers(results_per_page=1).by_page()
    assert [[container.name for container in page] for page in pages] == [["alpha"], ["beta"]]
    assert [container.name for container in service.list_containers(name_starts_with="b")] == ["beta"]
    assert emulator.requests()[-1]["outcome"] == "list"


@pytest.mark.parametrize("upn", ["ops@contoso.example", "guest@fabrikam.example"])
def test_storage_client_without_a_role_is_refused(emulator, credential, upn):
    with pytest.raises(HttpResponseError) as refused:
        list(blob_service(emulator, credential(upn)[0]).list_containers())
    assert refused.value.status_code == 403
    assert refused.value.error_code == "AuthorizationPermissionMismatch"


def test_storage_client_with_the_reader_role_cannot_create(emulator, credential):
    with pytest.raises(HttpResponseError) as refused:
        blob_service(emulator, credential()[0]).create_container("gamma")
    assert refused.value.error_code == "AuthorizationPermissionMismatch"


def test_storage_client_never_declares_that_it_takes_claims_challenges(emulator, credential):
    """azure-storage-blob 12.31.1 does not set enable_cae, and its own on_challenge ignores claims."""
    emulator.post("policies", {"resource": "https://storage.azure.com", "require": "claims"})
    with pytest.raises(HttpResponseError) as refused:
        list(blob_service(emulator, credential()[0]).list_containers())
    assert refused.value.status_code == 403
    assert emulator.requests()[-1]["outcome"] == "AuthorizationFailure"


def test_core_client_answers_a_claims_challenge(emulator, credential):
    signed_in, _ = credential()
    policy = BearerTokenCredentialPolicy(signed_in, STORAGE, enable_cae=True)
    client = PipelineClient(emulator.blob_endpoint, policies=[policy], connection_verify=emulator.ca)

    def list_containers():
        url = f"{emulator.blob_endpoint}?comp=list"
        return client.send_request(HttpRequest("GET", url, headers={"x-ms-version": "2025-11-05"}))

    assert list_containers().status_code == 200
    emulator.post("policies", {"resource": "https://storage.azure.com", "require": "claims"})
    assert list_containers().status_code == 200
    assert emulator.outcomes("/devstoreaccount1") == ["list", "insufficient_claims", "list"]
    asked = [entry["outcome"] for entry in emulator.requests() if entry["grant"] == "refresh_token"]
    assert asked == ["token"], "the refresh token did not suffice for the new claims"


def test_storage_client_learns_the_tenant_from_the_challenge(emulator, credential):
    signed_in, _ = credential(tenant="organizations")
    assert len(list(blob_service(emulator, signed_in).list_containers())) == 2


def test_identity_tells_the_account_and_the_policy_that_stops_it(emulator, credential):
    signed_in, person = credential()
    record = signed_in.authenticate(scopes=[STORAGE])
    user = emulator.users["dev@contoso.example"]
    assert record.home_account_id == f"{user['oid']}.{emulator.tenant}"
    assert record.tenant_id == emulator.tenant
    assert record.username == "dev@contoso.example"
    emulator.post("policies", {"resource": "https://management.azure.com", "require": "mfa"})
    assert signed_in.get_token(ARM).token
    assert "Approve sign-in request" in person.seen


def test_identity_reports_entras_words_when_the_person_declines(emulator, credential):
    signed_in, person = credential()
    person.presses = ["cancel"]
    with pytest.raises(ClientAuthenticationError, match="AADSTS65004|access_denied"):
        signed_in.get_token(STORAGE)


def test_identity_device_code_credential_signs_in(emulator):
    person = emulator.person()

    def prompt(uri, user_code, expires_on):
        threading.Thread(target=person.enter_code, args=(uri, user_code)).start()

    credential = DeviceCodeCredential(
        authority=emulator.authority_host,
        tenant_id=emulator.tenant,
        disable_instance_discovery=True,
        prompt_callback=prompt,
        timeout=20,
    )
    assert len(list(blob_service(emulator, credential).list_containers())) == 2
