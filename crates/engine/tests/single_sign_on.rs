//! Tests that one sign-in serves later runs, other resources and other apps, and never another
//! account.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use keybearer_core::{
    AccountChoice, Broker, ClientId, ErrorKind, InteractiveRequest, Prompt, Result, SilentRequest,
    TokenSource,
};
use keybearer_engine::FamilyRefreshTokens;
use keybearer_testkit::effects::{Conduct, Pick};
use keybearer_testkit::engine_harness::{
    EngineHarness, MANAGEMENT, STORAGE, exactly, interactive, silent,
};
use keybearer_testkit::provider::{APP, DEV, OPS};

/// Of the same family as [`APP`].
const IDE: &str = "872cd9fa-d31f-45e0-9eab-6e460a02d1f1";
const OUTSIDER: &str = "c0ffee00-1111-4222-8333-444455556666";

fn kind<T>(result: &Result<T>) -> &ErrorKind {
    result.as_ref().map(|_| ()).expect_err("an error").kind()
}

fn by(client: &str, request: SilentRequest) -> SilentRequest {
    let mut request = request;
    request.parameters.client_id = ClientId::parse(client).unwrap();
    request
}

fn sign_in(client: &str, account: AccountChoice) -> InteractiveRequest {
    let mut request = interactive(STORAGE, Prompt::IfNeeded);
    request.parameters.client_id = ClientId::parse(client).unwrap();
    request.parameters.account = account;
    request
}

#[tokio::test(start_paused = true)]
async fn one_sign_in_serves_later_runs_and_every_resource_and_directory() {
    let mut world = EngineHarness::default();
    let engine = world.engine().await;
    world.person.will(Conduct::SignsIn(DEV));
    engine.acquire_interactive(sign_in(APP, AccountChoice::Default)).await.unwrap();
    for _ in 0..3 {
        let engine = world.restart().await;
        for scope in [STORAGE, MANAGEMENT, "https://vault.azure.net/.default", "User.Read"] {
            engine.acquire_silent(silent(scope)).await.unwrap();
            let again = engine.acquire_interactive(interactive(scope, Prompt::IfNeeded)).await;
            assert_eq!(again.unwrap().source, TokenSource::Cache);
        }
    }
    assert_eq!(world.person.seen().opened, 1);
}

#[tokio::test(start_paused = true)]
async fn another_app_gets_by_with_the_providers_session() {
    for (account, offered) in [(AccountChoice::Default, 1), (exactly(DEV), 0)] {
        let world = EngineHarness::default();
        let engine = world.connected(DEV).await;
        world.person.will(Conduct::SignsIn(DEV));
        world.person.will_pick(Pick::Known(DEV));
        let outcome = engine.acquire_silent(by(OUTSIDER, silent(STORAGE))).await;
        assert!(matches!(kind(&outcome), ErrorKind::InteractionRequired { .. }));
        assert_eq!(world.http.token_requests(), 0, "another app's refresh token is not tried");
        let token = engine.acquire_interactive(sign_in(OUTSIDER, account)).await.unwrap();
        assert_eq!(token.account.username, DEV.username);
        let seen = world.person.seen();
        assert_eq!((seen.offered.len(), seen.visits.len()), (offered, 1));
        // A person with a session at the provider needs no password if there is no `prompt`.
        assert_eq!(seen.visits[0]["login_hint"], DEV.username);
        assert_eq!(seen.visits[0].get("prompt"), None);
        engine.acquire_silent(by(OUTSIDER, silent(MANAGEMENT))).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_session_of_another_account_is_never_used_whatever_the_policy_inv_i8() {
    for policy in [FamilyRefreshTokens::Off, FamilyRefreshTokens::SameFamily] {
        let mut world = EngineHarness::default();
        world.settings.family_refresh_tokens = policy;
        world.provider.make_family(&[APP, IDE]);
        let engine = world.engine().await;
        // One person has signed in to an app of the family, the other to an app outside it.
        world.connect(&engine, OPS).await;
        world.person.will(Conduct::SignsIn(DEV));
        engine.acquire_interactive(sign_in(OUTSIDER, exactly(DEV))).await.unwrap();
        world.http.forget();
        for client in [IDE, APP] {
            let mut request = by(client, silent(STORAGE));
            request.parameters.account = exactly(DEV);
            let outcome = engine.acquire_silent(request).await;
            assert!(matches!(kind(&outcome), ErrorKind::InteractionRequired { .. }));
        }
        assert_eq!(world.http.token_requests(), 0);
        world.person.will(Conduct::SignsIn(OPS));
        let outcome = engine.acquire_interactive(sign_in(IDE, exactly(DEV))).await;
        assert!(matches!(kind(&outcome), ErrorKind::InteractionRequired { .. }));
    }
}

#[tokio::test(start_paused = true)]
async fn an_app_uses_the_refresh_token_of_its_family_only_under_that_policy() {
    for family_refresh_tokens in [FamilyRefreshTokens::Off, FamilyRefreshTokens::SameFamily] {
        let mut world = EngineHarness::default();
        world.settings.family_refresh_tokens = family_refresh_tokens;
        world.provider.make_family(&[APP, IDE]);
        let engine = world.connected(DEV).await;
        let result = engine.acquire_silent(by(IDE, silent(STORAGE))).await;
        if family_refresh_tokens == FamilyRefreshTokens::Off {
            assert!(matches!(kind(&result), ErrorKind::InteractionRequired { .. }));
            assert_eq!(world.http.token_requests(), 0);
            continue;
        }
        result.unwrap();
        engine.acquire_silent(silent(MANAGEMENT)).await.unwrap();
        world.http.forget();
        for _ in 0..2 {
            let outsider = engine.acquire_silent(by(OUTSIDER, silent(STORAGE))).await;
            assert!(matches!(kind(&outsider), ErrorKind::InteractionRequired { .. }));
        }
        assert_eq!(world.http.token_requests(), 1, "the provider has said no once");
        let engine = world.restart().await;
        engine.acquire_silent(by(IDE, silent(STORAGE))).await.unwrap();
        assert_eq!(world.provider.reuses(), 0, "one chain of tokens for the family");
    }
}
