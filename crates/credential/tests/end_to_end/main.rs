//! The credential and the unmodified blob client of the SDK, against the emulator's strict blob
//! endpoint.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test that cannot continue fails, and reads what it started"
)]

mod chain;
mod emulated_machine;
#[cfg(unix)]
mod fallback;
#[cfg(unix)]
mod limits;
mod proof;
mod transport;

use std::sync::Arc;

use azure_core::credentials::{TokenCredential, TokenRequestOptions};
use azure_core::http::policies::auth::BearerTokenAuthorizationPolicy;
use azure_core::http::{ClientOptions, StatusCode};
use emulated_machine::{EmulatedMachine, STORAGE};
use keybearer::{
    AcquireOptions, ErrorKind, TokenSource, claims_challenge_policy, credential_error,
};
use keybearer::{AuthenticationRecord, InteractiveBrowserBrokerCredentialOptions as Options};
use serde_json::json;

/// A policy that no token satisfies that was issued before it.
fn wants_more() -> serde_json::Value {
    json!({"resource": "https://storage.azure.com", "require": "claims"})
}

#[tokio::test]
async fn a_client_with_our_policy_recovers_from_a_claims_challenge() {
    let machine = EmulatedMachine::start().await;
    // The challenge names the tenant `common`, which does not change the credential's tenant.
    let tenant_id = Some(machine.laboratory.ready().tenant.clone());
    let credential = machine.credential(Options { tenant_id, ..machine.options() });
    let policy = claims_challenge_policy(credential, [STORAGE]);
    let options =
        || ClientOptions { per_try_policies: vec![policy.clone()], ..machine.client_options() };
    assert_eq!(machine.containers(options()).await.unwrap(), ["alpha", "beta"]);

    machine.control("policies", wants_more()).await;
    assert_eq!(machine.containers(options()).await.unwrap(), ["alpha", "beta"]);
    // The token that satisfied the challenge is kept.
    assert_eq!(machine.containers(options()).await.unwrap(), ["alpha", "beta"]);
    let outcomes = machine.blob_outcomes().await;
    assert_eq!(outcomes, ["list", "insufficient_claims", "list", "list"]);
}

#[tokio::test]
async fn a_client_with_the_sdks_own_policy_does_not() {
    let machine = EmulatedMachine::start().await;
    let credential: Arc<dyn TokenCredential> = machine.credential(machine.options());
    let policy = Arc::new(BearerTokenAuthorizationPolicy::new(credential, [STORAGE]));
    machine.control("policies", wants_more()).await;
    let options = ClientOptions { per_try_policies: vec![policy], ..machine.client_options() };
    let error = machine.containers(options).await.unwrap_err();
    assert_eq!(error.http_status(), Some(StatusCode::Forbidden), "{error}");
}

#[tokio::test]
async fn a_challenge_that_only_a_person_can_meet_is_left_to_the_program_on_request() {
    let machine = EmulatedMachine::start().await;
    let options = || Options { disable_automatic_authentication: true, ..machine.options() };
    let credential = machine.credential(options());
    credential.authenticate(&[STORAGE], None).await.unwrap();
    machine.control("policies", wants_more()).await;
    machine.control("revoke", json!({"upn": "dev@contoso.example"})).await;
    let policy = claims_challenge_policy(credential, [STORAGE]);
    let client = ClientOptions { per_try_policies: vec![policy], ..machine.client_options() };
    let error = machine.containers(client).await.unwrap_err();
    let ours = credential_error(&error).unwrap();
    assert!(matches!(ours.kind(), ErrorKind::InteractionRequired { .. }), "{ours}");
}

#[tokio::test]
async fn a_client_with_our_policy_follows_the_service_to_its_directory_if_that_is_allowed() {
    // The guest's home is another directory than the storage account's.
    let fabrikam = "a1b5e7d3-92c4-4c6d-8f10-5e3d7c9b2f02";
    for (additionally_allowed_tenants, allowed) in [(vec!["*".to_owned()], true), (vec![], false)] {
        let machine = EmulatedMachine::start_for("guest@fabrikam.example").await;
        let tenant_id = Some(fabrikam.to_owned());
        let options = Options { tenant_id, additionally_allowed_tenants, ..machine.options() };
        let policy = claims_challenge_policy(machine.credential(options), [STORAGE]);
        let client = ClientOptions { per_try_policies: vec![policy], ..machine.client_options() };
        let error = machine.containers(client).await.unwrap_err();
        if allowed {
            // The guest has no role there; what counts is that the account knows the caller.
            assert_eq!(error.http_status(), Some(StatusCode::Forbidden), "{error:?}");
        } else {
            let ours = credential_error(&error).unwrap();
            let expected = ErrorKind::InvalidRequest { field: "tenant_id".into() };
            assert_eq!(*ours.kind(), expected, "{ours}");
        }
    }
}

#[tokio::test]
async fn a_record_outlives_the_credential_and_leads_back_to_its_account_inv_i8() {
    let machine = EmulatedMachine::start().await;
    let record =
        machine.credential(machine.options()).authenticate(&[STORAGE], None).await.unwrap();
    assert_eq!(record.username, "dev@contoso.example");
    assert_eq!(record.tenant_id.as_str(), machine.laboratory.ready().tenant);
    let authentication_record = AuthenticationRecord::deserialize(&record.serialize()).ok();
    let options = Options {
        authentication_record,
        disable_automatic_authentication: true,
        ..Default::default()
    };
    let token = machine.credential(options).acquire(&[STORAGE], None).await.unwrap();
    assert_eq!(token.account.home_account_id, record.home_account_id);
    assert_ne!(token.source, TokenSource::SignIn);
}

#[tokio::test]
async fn what_a_token_is_to_be_like_reaches_get_token_through_the_context() {
    let machine = EmulatedMachine::start().await;
    let credential = machine.credential(machine.options());
    let elsewhere = AcquireOptions { tenant_id: Some("not a tenant".into()), ..Default::default() };
    let mut options = TokenRequestOptions::default();
    options.method_options.context.insert(elsewhere);
    let error = credential.get_token(&[STORAGE], Some(options)).await.unwrap_err();
    let ours = credential_error(&error).unwrap();
    assert_eq!(*ours.kind(), ErrorKind::InvalidRequest { field: "tenant_id".into() });
    credential.get_token(&[STORAGE], None).await.unwrap();
}
