"""MSAL Python with Microsoft's runtime, unmodified, through Keybearer's broker."""

import json
import sys

from machine import HERE

STORAGE = "https://storage.azure.com/.default"
ARM = "https://management.azure.com/.default"
SAMPLE = "c0ffee00-1111-4222-8333-444455556666"
PICK = {"prompt": "select_account"}


def test_runtime_signs_in_and_then_gets_tokens_silently(machine):
    signed_in, silent, cached = machine.msal(
        ("interactive", {"scope": STORAGE, **PICK}),
        ("silent", {"scope": ARM}),
        ("silent", {"scope": ARM}),
    )
    assert signed_in["token_source"] == "broker" and signed_in["claims"]["aud"] == "https://storage.azure.com"
    assert signed_in["id_token_claims"]["preferred_username"] == "dev@contoso.example"
    assert silent["token_source"] == "broker" and silent["claims"]["aud"] == "https://management.azure.com"
    assert cached["token_source"] == "cache"
    assert machine.visits() == 1
    assert len(machine.grants("authorization_code")) == 1


def test_second_program_is_signed_in_without_being_asked(machine):
    machine.msal(("interactive", {"scope": STORAGE, **PICK}))
    quiet, discovered = machine.msal(("interactive", {"scope": ARM, "prompt": "none"}), ("discover", {}))
    assert quiet["claims"]["upn"] == "dev@contoso.example", quiet
    assert discovered == ["dev@contoso.example"]
    assert machine.visits() == 1


def test_sign_in_of_the_command_line_serves_the_runtime(machine):
    assert machine.keybearer("login").status == 0
    [quiet] = machine.msal(("interactive", {"scope": STORAGE, "prompt": "none"}))
    assert quiet["claims"]["upn"] == "dev@contoso.example", quiet
    assert machine.visits() == 1


def test_several_accounts_are_told_apart(machine):
    machine.msal(("interactive", {"scope": STORAGE, **PICK}))
    machine.person("ops")
    answers = machine.msal(
        ("interactive", {"scope": STORAGE, "login_hint": "dev@contoso.example"}),
        ("interactive", {"scope": STORAGE, "login_hint": "ops@contoso.example"}),
        ("discover", {}),
        ("silent", {"scope": ARM, "user": "dev@contoso.example"}),
        ("silent", {"scope": ARM, "user": "ops@contoso.example"}),
    )
    users = [answer["claims"]["upn"] for answer in answers[:2] + answers[3:]]
    assert users == ["dev@contoso.example", "ops@contoso.example"] * 2
    assert answers[2] == ["dev@contoso.example", "ops@contoso.example"]
    assert machine.visits() == 2


def test_with_several_accounts_the_person_picks_one(machine):
    """As azure-identity-broker does at first use. The simulated person clicks their own name."""
    machine.msal(("interactive", {"scope": STORAGE, **PICK}))
    machine.person("ops")
    machine.msal(("interactive", {"scope": STORAGE, "login_hint": "ops@contoso.example"}))
    redeemed = len(machine.grants("authorization_code"))
    machine.person("dev")
    [picked] = machine.msal(("interactive", {"scope": ARM, **PICK}))
    assert picked["claims"]["upn"] == "dev@contoso.example", picked
    assert machine.visits() == 3
    assert len(machine.grants("authorization_code")) == redeemed, "the picked account's session was enough"


def test_with_several_accounts_the_one_used_last_answers_an_app_that_names_none(machine):
    """For prompt=none the runtime names no account; MSAL refuses a token of an account it did not want."""
    machine.msal(("interactive", {"scope": STORAGE, **PICK}))
    machine.person("ops")
    _, quiet, other = machine.msal(
        ("interactive", {"scope": STORAGE, "login_hint": "ops@contoso.example"}),
        ("interactive", {"scope": ARM, "prompt": "none"}),
        ("interactive", {"scope": ARM, "prompt": "none", "login_hint": "guest@fabrikam.example"}),
    )
    assert quiet["claims"]["upn"] == "ops@contoso.example", quiet
    assert other["error"] == "broker_error", other


def test_claims_of_a_challenge_reach_the_server_and_the_capability_comes_back(machine):
    challenge = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'
    _, _, plain, challenged = machine.msal(
        ("app", {"capabilities": ["CP1"]}),
        ("interactive", {"scope": STORAGE, **PICK}),
        ("silent", {"scope": ARM}),
        ("silent", {"scope": ARM, "claims_challenge": challenge}),
    )
    assert "cp1" in [value.lower() for value in plain["claims"]["xms_cc"]], plain
    assert challenged["token_source"] == "broker" and challenged["claims"].get("acrs") == ["c1"], challenged


def test_policy_that_wants_a_second_factor_asks_the_person(machine):
    machine.msal(("interactive", {"scope": STORAGE, **PICK}))
    machine.emulator("POST", "policies", {"resource": "https://management.azure.com", "require": "mfa"})
    quiet, _ = machine.msal(("interactive", {"scope": ARM, "prompt": "none"}), ("discover", {}))
    assert quiet["status"] == "InteractionRequired" and "AADSTS50076" in quiet["description"], quiet
    [asked] = machine.msal(("interactive", {"scope": ARM, **PICK}))
    assert "mfa" in asked["claims"]["amr"], asked


def test_person_who_declines_is_told_apart_from_other_failures(machine):
    machine.person("dev", "--deny")
    [declined] = machine.msal(("interactive", {"scope": STORAGE, **PICK}))
    assert declined["status"] == "UserCanceled" and "cancelled the sign-in" in declined["description"]


def test_app_that_ends_in_the_middle_of_a_sign_in_leaves_the_next_one_alone(machine):
    """Its runtime cannot cancel the call: it delays the cancellation until the sign-in has ended."""
    machine.person("dev", "--abandon")
    steps = json.dumps([("interactive", {"scope": STORAGE, **PICK})])
    app = machine.start("app", [sys.executable, HERE / "msal_client.py", steps])
    machine.wait_for("the browser", lambda: machine.visits() == 1)
    app.kill()
    app.wait()
    machine.person("dev")
    [signed_in] = machine.msal(("interactive", {"scope": STORAGE, **PICK}))
    assert signed_in["claims"]["upn"] == "dev@contoso.example"


def test_app_that_cancels_at_once_hears_of_a_cancellation(machine):
    """The runtime sends the cancellation before its call, or only after the person has declined."""
    machine.person("dev", "--deny")
    for ended in machine.msal(*[("cancelled", {"scope": STORAGE})] * 4):
        assert ended["status"] in ("UserCanceled", "ApplicationCanceled"), ended


def test_token_that_the_app_wants_replaced_is_replaced(machine):
    _, renewed = machine.msal(
        ("interactive", {"scope": STORAGE, **PICK}), ("renew", {"scope": STORAGE, "user": "dev@contoso.example"})
    )
    assert renewed["renewed"], renewed


def test_sign_out_of_an_app_leaves_the_other_programs_signed_in(machine):
    """The runtime forgets the account itself and sends no request to the broker."""
    _, left = machine.msal(
        ("interactive", {"scope": STORAGE, **PICK}), ("sign_out", {"user": "dev@contoso.example"})
    )
    assert left == []
    assert machine.status()["accounts"] == 1
    assert machine.keybearer("token", "--silent", "--scope", STORAGE).status == 0


def test_account_that_the_person_forgot_has_to_sign_in_again(machine):
    machine.msal(("interactive", {"scope": STORAGE, **PICK}))
    assert machine.keybearer("logout", "dev@contoso.example").status == 0
    [quiet] = machine.msal(("interactive", {"scope": ARM, "prompt": "none"}))
    assert quiet["status"] in ("InteractionRequired", "AccountNotFound"), quiet


def test_app_of_ones_own_asks_for_consent_and_its_token_names_it(machine):
    _, signed_in = machine.msal(("app", {"client_id": SAMPLE}), ("interactive", {"scope": STORAGE, **PICK}))
    assert signed_in["claims"]["appid"] == SAMPLE, signed_in


def test_host_that_nobody_trusts_is_refused_by_the_broker(machine):
    """The runtime drops the port of an authority, so this names a host where nothing listens."""
    localhost = f"https://localhost:{machine.ready['ports']['authority']}/organizations"
    _, refused = machine.msal(("app", {"authority": localhost}), ("interactive", {"scope": STORAGE, **PICK}))
    assert refused["status"] == "AuthorityUntrusted", refused
    assert machine.visits() == 0
