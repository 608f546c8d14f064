//! Sample values for tests.

use std::collections::BTreeMap;
use std::time::Duration;

use keybearer_core::{
    Account, AccountChoice, Authority, AuthorityHost, Caller, CallerId, Capabilities, ClientId,
    CorrelationId, Deadline, HomeAccountId, ScopeSet, Tenant, TenantId, Timestamp, TokenParameters,
};

/// A moment in November 2026.
#[must_use]
pub const fn now() -> Timestamp {
    Timestamp::from_unix_seconds(1_795_411_427)
}

/// `dev@contoso.example`.
#[must_use]
#[expect(clippy::unwrap_used, reason = "literals")]
pub fn account() -> Account {
    let oid = "11111111-1111-1111-1111-111111111111";
    let tid = "22222222-2222-2222-2222-222222222222";
    Account {
        home_account_id: HomeAccountId::from_parts(oid, tid).unwrap(),
        environment: AuthorityHost::public_cloud().environment().to_owned(),
        realm: TenantId::parse(tid).unwrap(),
        local_account_id: oid.to_owned(),
        username: "dev@contoso.example".to_owned(),
        name: Some("Dev Eloper".to_owned()),
    }
}

/// The deadline of a request that is made now, by tokio's clock.
#[must_use]
pub fn deadline(limit: Duration) -> Deadline {
    Deadline::after(limit, tokio::time::Instant::now().into_std())
}

/// A program of this name, without a process.
#[must_use]
pub fn caller(name: &str) -> Caller {
    Caller { id: CallerId::new(name), process: None }
}

/// A request of the Azure development app for storage, for the only account.
#[must_use]
#[expect(clippy::unwrap_used, reason = "literals")]
pub fn parameters() -> TokenParameters {
    TokenParameters {
        authority: Authority::new(AuthorityHost::public_cloud(), Tenant::Organizations),
        client_id: ClientId::parse("04b07795-8ddb-461a-bbee-02f9e1bf7b46").unwrap(),
        redirect_uri: None,
        scopes: ScopeSet::parse(&["https://storage.azure.com/.default"]).unwrap(),
        account: AccountChoice::Only,
        claims: None,
        capabilities: Capabilities::default(),
        access_token_to_renew: None,
        proof_of_possession: None,
        extra_query: BTreeMap::new(),
        correlation_id: CorrelationId::new("5a3ad5d1-0000-4000-8000-000000000001"),
        deadline: deadline(Duration::from_secs(10)),
        caller: Caller::in_process(),
    }
}
