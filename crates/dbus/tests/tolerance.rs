//! What clients may leave out, add or say in their own way, over a real connection.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::sync::Arc;

use keybearer_core::Broker;
use keybearer_dbus::interface::{INTERFACE, OBJECT_PATH};
use keybearer_testkit::contract::Situation;
use keybearer_testkit::double::MemoryBroker;
use keybearer_testkit::sample;
use serde_json::{Value, json};
use support::SocketBroker;

struct Client {
    proxy: keybearer_dbus::client::BrokerProxy,
    _socket: SocketBroker,
}

impl Client {
    /// Of a broker to which [`sample::account`] is connected.
    async fn connected() -> Self {
        let broker: Arc<dyn Broker> = Arc::new(MemoryBroker::in_situation(Situation::OneAccount));
        let socket = SocketBroker::serve(broker);
        Self { proxy: socket.connect().await, _socket: socket }
    }

    async fn call(&self, method: &str, arguments: (&str, &str, &str)) -> Value {
        let connection = self.proxy.connection();
        let reply = connection
            .call_method(None::<&str>, OBJECT_PATH, Some(INTERFACE), method, &arguments)
            .await
            .unwrap();
        serde_json::from_str(reply.body().deserialize().unwrap()).unwrap()
    }

    async fn silently(&self, request: Value) -> Value {
        self.call("acquireTokenSilently", ("0.0", "c", &request.to_string())).await
    }
}

fn account() -> Value {
    json!({ "homeAccountId": sample::account().home_account_id.as_str() })
}

fn parameters(changes: Value) -> Value {
    let mut parameters = json!({ "clientId": "app", "requestedScopes": ["User.Read"] });
    for (name, value) in changes.as_object().unwrap() {
        parameters[name] = value.clone();
    }
    parameters
}

#[tokio::test]
async fn any_protocol_version_and_any_correlation_id_will_do() {
    let client = Client::connected().await;
    let request = json!({ "authParameters": parameters(json!({})) }).to_string();
    for version in ["0.0", "1.0", "3", "", "whatever"] {
        for correlation in ["", "not a uuid", "5a3ad5d1-0000-4000-8000-000000000001"] {
            let reply = client.call("acquireTokenSilently", (version, correlation, &request)).await;
            let token = &reply["brokerTokenResponse"];
            assert_eq!(token["account"]["username"], sample::account().username, "{reply}");
        }
    }
}

#[tokio::test]
async fn with_prompt_none_nobody_is_asked_whichever_method_is_called() {
    let broker: Arc<dyn Broker> = Arc::new(MemoryBroker::in_situation(Situation::SignInUnanswered));
    let socket = SocketBroker::serve(broker);
    let nobody = Client { proxy: socket.connect().await, _socket: socket };
    let somebody = Client::connected().await;
    for none in [
        json!({ "prompt": "none" }),
        json!({ "additionalQueryParametersForAuthorization": { "prompt": "None" } }),
    ] {
        let request = json!({ "authParameters": parameters(none) }).to_string();
        let call = nobody.call("acquireTokenInteractively", ("0.0", "c", &request));
        let reply = tokio::time::timeout(support::TEST_LIMIT, call).await.unwrap();
        assert_eq!(reply["brokerTokenResponse"]["error"]["status"], 2, "{reply}");
        let reply = somebody.call("acquireTokenInteractively", ("0.0", "c", &request)).await;
        assert!(reply["brokerTokenResponse"]["accessToken"].is_string(), "{reply}");
    }
}

#[tokio::test]
async fn the_account_may_be_in_either_place_in_both_or_null() {
    let client = Client::connected().await;
    let null = Value::Null;
    for (top, nested) in [
        (account(), null.clone()),
        (null.clone(), account()),
        (account(), account()),
        (null.clone(), null.clone()),
        (json!({}), account()),
    ] {
        let nested = parameters(json!({ "account": nested }));
        let reply = client.silently(json!({ "account": top, "authParameters": nested })).await;
        let token = &reply["brokerTokenResponse"];
        assert_eq!(token["account"]["username"], sample::account().username, "{reply}");
    }
}

#[tokio::test]
async fn what_a_client_keeps_in_an_account_comes_back_untouched() {
    let client = Client::connected().await;
    let mut kept = account();
    kept["familyName"] = json!("Eloper");
    kept["theirs"] = json!({ "a": [1, null, "x"] });
    // What the broker knows better, it says itself.
    kept["username"] = json!("before-the-wedding@contoso.example");
    kept["clientInfo"] = json!("old");
    for request in [
        json!({ "authParameters": parameters(json!({ "account": &kept })) }),
        json!({ "account": &kept, "authParameters": parameters(json!({})) }),
    ] {
        let reply = client.silently(request).await;
        let account = &reply["brokerTokenResponse"]["account"];
        assert_eq!(account["familyName"], "Eloper");
        assert_eq!(account["theirs"], kept["theirs"]);
        assert_eq!(account["username"], sample::account().username);
        assert_ne!(account["clientInfo"], "old");
    }
}

#[tokio::test]
async fn an_empty_body_cancels_and_tells_the_version() {
    let client = Client::connected().await;
    for body in ["", "{}", "null", "nonsense"] {
        assert_eq!(client.call("cancelInteractiveFlow", ("0.0", "", body)).await, json!({}));
        let version = client.call("getLinuxBrokerVersion", ("0.0", "", body)).await;
        assert!(version["linuxBrokerVersion"].is_string(), "{version}");
    }
}

#[tokio::test]
async fn the_version_reads_as_newer_than_the_last_one_with_the_old_messages() {
    let version = Client::connected().await.call("getLinuxBrokerVersion", ("0.0", "", "")).await;
    let version = version["linuxBrokerVersion"].as_str().unwrap().to_owned();
    let numbers = version.split('.').map(|part| part.parse().unwrap()).collect::<Vec<u32>>();
    assert!(numbers > vec![2, 0, 1], "{version}");
}

#[tokio::test]
async fn each_requested_scope_is_granted_as_it_was_spelt() {
    let client = Client::connected().await;
    for scopes in [
        json!(["User.Read"]),
        json!(["https://graph.microsoft.com/User.Read", "openid"]),
        json!(["openid", "profile", "offline_access"]),
        json!([]),
    ] {
        let changes = json!({ "requestedScopes": scopes });
        let reply = client.silently(json!({ "authParameters": parameters(changes) })).await;
        let granted = reply["brokerTokenResponse"]["grantedScopes"].as_str().unwrap();
        let granted: Vec<&str> = granted.split(' ').collect();
        for scope in scopes.as_array().unwrap() {
            assert!(granted.contains(&scope.as_str().unwrap()), "{scope} in {reply}");
        }
    }
}

#[tokio::test]
async fn an_error_has_what_clients_cannot_do_without_in_every_method() {
    let client = Client::connected().await;
    let nobody = json!({ "homeAccountId": "nobody.nowhere" });
    let request = json!({
        "account": &nobody, "clientId": "app",
        "authParameters": parameters(json!({ "account": &nobody })),
        "popParams": { "homeAccountId": "nobody.nowhere" },
    });
    for (method, status) in [
        ("acquireTokenSilently", 2),
        ("acquirePrtSsoCookie", 17),
        ("generateSignedHttpRequest", 2),
        ("removeAccount", 19),
    ] {
        let reply = client.call(method, ("0.0", "c", &request.to_string())).await;
        let error = match &reply["brokerTokenResponse"]["error"] {
            Value::Null => &reply["error"],
            error => error,
        };
        assert_eq!(error["status"], status, "{method}: {reply}");
        for number in ["errorCode", "subStatus", "tag"] {
            assert!(error[number].is_i64(), "{method}: {reply}");
        }
        assert!(error["context"].is_string(), "{method}: {reply}");
    }
}
