//! Whatever is said to the server, it answers with JSON that clients can read; whatever is said to
//! the client, it answers with a value or an error.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "these are tests")]

use std::sync::Arc;

use keybearer_core::{CallerId, SilentRequest};
use keybearer_dbus::message::{
    AcquirePrtSsoCookie, AcquireTokenSilently, GenerateSignedHttpRequest, GetAccounts, MAX_REQUEST,
    Method, RemoveAccount,
};
use keybearer_dbus::server::Session;
use keybearer_testkit::double::{MemoryBroker, SignInBehaviour};
use keybearer_testkit::sample;
use proptest::prelude::*;
use serde_json::{Value, json};

fn session() -> Session {
    let person = SignInBehaviour::SignsInAs(sample::account());
    let broker = MemoryBroker::new(vec![sample::account()], person, sample::now());
    Session::new(Arc::new(broker), CallerId::new("arbitrary"), None)
}

/// The answers of all eight methods.
fn answers(correlation_id: &str, json: &str) -> [String; 8] {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let session = session();
    runtime.block_on(async {
        [
            session.answer::<AcquireTokenSilently>(correlation_id, json).await,
            session.acquire_token_interactively(correlation_id, json, None).await,
            session.answer::<GetAccounts>(correlation_id, json).await,
            session.answer::<AcquirePrtSsoCookie>(correlation_id, json).await,
            session.answer::<GenerateSignedHttpRequest>(correlation_id, json).await,
            session.cancel_interactive_flow(correlation_id, json).await,
            session.get_linux_broker_version(correlation_id, json).await,
            session.answer::<RemoveAccount>(correlation_id, json).await,
        ]
    })
}

/// A client finds what it cannot do without: the members of an error if there is one.
fn assert_readable(reply: &str) {
    let reply: Value = serde_json::from_str(reply).unwrap();
    assert!(reply.is_object(), "{reply}");
    let error = [&reply["error"], &reply["brokerTokenResponse"]["error"]];
    for error in error.into_iter().filter(|error| !error.is_null()) {
        for number in ["status", "tag", "errorCode", "subStatus"] {
            assert!(error[number].is_i64(), "{number} in {reply}");
        }
        assert!(error["context"].is_string(), "{reply}");
    }
}

/// JSON of any shape.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(known_key(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Keys the interface knows, so that wrong values reach the places where they could do harm.
fn known_key() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "account",
        "accessToken",
        "accessTokenToRenew",
        "accounts",
        "authParameters",
        "authority",
        "additionalQueryParametersForAuthorization",
        "brokerTokenResponse",
        "clientId",
        "context",
        "clientInfo",
        "decodedClaims",
        "diagnostics",
        "environment",
        "error",
        "expiresOn",
        "grantedScopes",
        "homeAccountId",
        "httpMethod",
        "idToken",
        "keybearer",
        "localAccountId",
        "popParams",
        "prompt",
        "realm",
        "redirectUri",
        "requestedScopes",
        "ssoUrl",
        "status",
        "telemetry",
        "timeoutMs",
        "uriHost",
        "username",
        "unknown",
    ])
    .prop_map(str::to_owned)
}

/// A request as it should be, with one member replaced.
fn almost_right() -> impl Strategy<Value = Value> {
    (known_key(), any_json()).prop_map(|(key, value)| {
        let mut request = json!({
            "account": { "homeAccountId": sample::account().home_account_id.as_str() },
            "authParameters": {
                "authority": "https://login.microsoftonline.com/common",
                "clientId": "app",
                "requestedScopes": ["User.Read"],
            },
            "popParams": { "httpMethod": "GET", "uriHost": "host" },
        });
        request["authParameters"][&key] = value.clone();
        if key != "authParameters" {
            request[&key] = value;
        }
        request
    })
}

proptest! {
    #[test]
    fn any_text_is_answered_readably(correlation_id in ".{0,80}", text in ".{0,200}") {
        answers(&correlation_id, &text).iter().for_each(|reply| assert_readable(reply));
    }

    #[test]
    fn any_json_is_answered_readably(json in any_json()) {
        answers("c", &json.to_string()).iter().for_each(|reply| assert_readable(reply));
    }

    #[test]
    fn an_almost_right_request_is_answered_readably(json in almost_right()) {
        answers("c", &json.to_string()).iter().for_each(|reply| assert_readable(reply));
    }

    #[test]
    fn any_reply_is_read_without_harm(json in any_json(), text in ".{0,200}") {
        let request = SilentRequest { parameters: sample::parameters() };
        for reply in [json.to_string(), json!({ "brokerTokenResponse": json }).to_string(), text] {
            let _ = AcquireTokenSilently::decode_reply(&reply, &request);
            let accounts = keybearer_core::AccountsRequest {
                client_id: None,
                correlation_id: request.parameters.correlation_id.clone(),
                deadline: request.parameters.deadline,
            };
            let _ = GetAccounts::decode_reply(&reply, &accounts);
        }
    }
}

#[test]
fn the_right_requests_are_answered_with_success() {
    let request = json!({
        "account": { "homeAccountId": sample::account().home_account_id.as_str() },
        "authParameters": { "clientId": "app", "requestedScopes": ["User.Read"] },
    });
    let [silent, interactive, accounts, .., version, remove] = answers("c", &request.to_string());
    for reply in [&silent, &interactive] {
        let reply: Value = serde_json::from_str(reply).unwrap();
        assert_eq!(reply["brokerTokenResponse"]["accessToken"], "memory-access-token");
        assert!(reply["brokerTokenResponse"]["refreshToken"].is_null(), "I1");
    }
    for reply in [&accounts, &version, &remove] {
        assert!(!reply.contains("error"), "{reply}");
    }
}

#[test]
fn a_request_of_unreasonable_size_is_refused_unread() {
    let huge = format!("{{\"x\":\"{}\"}}", "y".repeat(MAX_REQUEST));
    let [silent, ..] = answers("c", &huge);
    assert!(silent.contains("larger than 1 MiB"), "{silent}");
    assert_readable(&silent);
}
