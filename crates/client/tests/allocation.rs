//! The allocations of a cache hit. The test is alone in its program, because the allocator counts for
//! the whole process.
#![allow(clippy::unwrap_used, reason = "a test that cannot continue fails")]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use keybearer_client::{Credential, CredentialOptions, TokenQuery};
use keybearer_core::{
    AccessToken, ProofOfPossession, ScopeSet, Timestamp, Token, TokenSource, TokenType,
};
use keybearer_testkit::double::{Answer, ScriptedBroker};
use keybearer_testkit::sample;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const SCOPES: &[&str] = &["https://storage.azure.com/.default"];
const HITS: u64 = 1000;

fn token() -> Token {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    Token {
        access_token: AccessToken::new("t-1".into()),
        token_type: TokenType::Bearer,
        expires_on: Timestamp::from_unix_seconds(now as i64) + Duration::from_secs(3600),
        refresh_on: None,
        granted_scopes: ScopeSet::parse(SCOPES).unwrap(),
        account: sample::account(),
        id_token: None,
        source: TokenSource::Cache,
    }
}

#[test]
fn a_hit_allocates_nothing() {
    let _counting = dhat::Profiler::builder().testing().build();
    let proof = ProofOfPossession::BoundTo { key_id: "k".into() };
    let plain = TokenQuery { scopes: SCOPES, ..TokenQuery::default() };
    let queries = [
        plain,
        TokenQuery { enable_cae: true, ..plain },
        TokenQuery { tenant_id: Some("organizations"), ..plain },
        TokenQuery { proof_of_possession: Some(&proof), ..plain },
    ];
    for query in queries {
        let broker = Arc::new(ScriptedBroker::new());
        broker.on_silent(Answer::Now(Ok(token())));
        let credential = Credential::with_broker(&CredentialOptions::default(), broker).unwrap();
        credential.acquire_blocking(query, || false).unwrap();
        let blocks = || dhat::HeapStats::get().total_blocks;
        let before = blocks();
        for _ in 0..HITS {
            assert!(credential.cached(query).unwrap().is_some());
        }
        // The thread that did the work may still be tidying up.
        assert!(blocks() - before < HITS / 10, "{} blocks", blocks() - before);
    }
}
