use std::time::Duration;

use keybearer_core::{Error, Token};

use super::Outcome;
use super::files::{Case, ExpectFile};
use crate::effects::Seen;
use crate::engine_harness::{EngineHarness, usernames};

/// Compares the outcome of a case with its file.
pub(super) async fn check(case: &Case, world: &mut EngineHarness, outcome: Outcome) {
    let (docs, expect) = (&case.docs, &case.expect);
    match &outcome.result {
        Ok(token) => check_token(docs, expect, token),
        Err(error) => check_error(docs, expect, error),
    }
    if let Some(seconds) = expect.seconds {
        assert_eq!(outcome.took, Duration::from_secs(seconds), "{docs}: the time it took");
    }
    if let Some(unreadable) = expect.unreadable {
        assert_eq!(outcome.engine.unreadable_records(), unreadable, "{docs}: unreadable records");
    }
    world.clock.advance(Duration::from_millis(1)).await;
    let seen = world.person.seen();
    assert_eq!(seen.open, 0, "{docs}: a sign-in is still open");
    check_seen(docs, expect, &seen);
    check_network(docs, expect, world);
    check_connected(docs, expect, world, outcome).await;
}

fn check_token(docs: &str, expect: &ExpectFile, token: &Token) {
    assert_eq!(Some(&token.account.username), expect.account.as_ref(), "{docs}: the account");
    if let Some(source) = &expect.source {
        assert_eq!(token.source.as_str(), source, "{docs}: the source");
    }
    if let Some(scopes) = &expect.scopes {
        let granted: Vec<&str> = token.granted_scopes.iter().collect();
        assert_eq!(granted, *scopes, "{docs}: the scopes");
    }
}

fn check_error(docs: &str, expect: &ExpectFile, error: &Error) {
    let Some(expected) = &expect.error else { panic!("{docs}: {error:?}") };
    let kind = format!("{:?}", error.kind());
    assert!(kind.starts_with(expected), "{docs}: {error:?}");
    if let Some(code) = &expect.code {
        assert_eq!(error.context().code.as_ref(), Some(code), "{docs}: the code");
    }
    let message = error.message();
    for (part, whole) in
        [(&expect.message, message.as_str()), (&expect.hint, error.hint().unwrap_or(""))]
    {
        if let Some(part) = part {
            assert!(whole.contains(part), "{docs}: {part:?} should be in {whole:?}");
        }
    }
    assert!(
        !error.context().correlation_id.is_empty() || expect.requests == Some(0),
        "{docs}: no correlation id"
    );
}

fn check_seen(docs: &str, expect: &ExpectFile, seen: &Seen) {
    if let Some(rejected) = expect.rejected {
        assert_eq!(seen.rejected, rejected, "{docs}: answers turned away");
    }
    let Some(expected) = &expect.visit else { return };
    assert_eq!(seen.visits.len(), 1, "{docs}: visits to the provider");
    for (name, value) in expected {
        let sent = seen.visits[0].get(name).map_or("", String::as_str);
        assert_eq!(sent, value, "{docs}: the parameter {name} of the visit");
    }
}

fn check_network(docs: &str, expect: &ExpectFile, world: &EngineHarness) {
    let asked = world.http.asked();
    assert_eq!(world.http.token_requests(), expect.token_requests, "{docs}: {asked:#?}");
    if let Some(requests) = expect.requests {
        assert_eq!(asked.len(), requests, "{docs}: {asked:#?}");
    }
    assert_eq!(world.provider.reuses(), 0, "{docs}: a refresh token was used again");
}

async fn check_connected(
    docs: &str,
    expect: &ExpectFile,
    world: &mut EngineHarness,
    outcome: Outcome,
) {
    let before = usernames(&outcome.engine).await;
    drop(outcome);
    for mut connected in [before, usernames(&world.restart().await).await] {
        connected.sort_unstable();
        assert_eq!(connected, expect.connected, "{docs}: who is connected");
    }
}
