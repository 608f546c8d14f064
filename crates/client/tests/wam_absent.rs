//! A Windows without Web Account Manager, which is what Wine is.
#![cfg(windows)]
#![allow(clippy::unwrap_used, reason = "a test that cannot continue fails")]

use std::time::Duration;

use keybearer_client::{BrokerChoice, Credential, CredentialOptions, TokenQuery};
use keybearer_client::{LocalBroker, LocalBrokerOptions};
use keybearer_core::{AccountsRequest, Broker, CorrelationId, ErrorKind, Missing};
use keybearer_host::Environment;
use keybearer_testkit::sample;

const QUERY: TokenQuery<'_> = TokenQuery {
    scopes: &["https://storage.azure.com/.default"],
    tenant_id: None,
    claims: None,
    enable_cae: false,
    proof_of_possession: None,
};

#[tokio::test]
async fn a_credential_is_told_that_there_is_no_broker_so_that_a_chain_goes_on() {
    for broker in [BrokerChoice::Auto, BrokerChoice::Required] {
        let options = CredentialOptions { broker, ..CredentialOptions::default() };
        let error = Credential::new(&options).unwrap().acquire(QUERY).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Unavailable(Missing::Broker), "{error}");
        assert!(error.causes().any(|cause| cause.contains("0x80040154")), "{error:?}");
    }
}

#[tokio::test]
async fn a_program_that_wants_no_broker_has_an_engine_of_its_own() {
    let options = LocalBrokerOptions { choice: BrokerChoice::Never, ..Default::default() };
    let broker = LocalBroker::new(Environment::current(), options);
    let correlation_id = CorrelationId::default();
    let deadline = sample::deadline(Duration::from_secs(10));
    let request = AccountsRequest { client_id: None, correlation_id, deadline };
    assert_eq!(broker.accounts(request).await.unwrap(), []);
}
