//! Requests of other vendors' clients, as they write them: from the broker's session to the engine and
//! an emulated provider, and with the token to a resource.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot continue fails")]

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keybearer_core::{Broker, CallerId};
use keybearer_dbus::message::AcquireTokenSilently;
use keybearer_dbus::server::Session;
use keybearer_emulator::Laboratory;
use keybearer_testkit::emulated;
use serde_json::{Value, json};

const USER: &str = "dev@contoso.example";
const APP: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";
const SAMPLE: &str = "c0ffee00-1111-4222-8333-444455556666";

/// A client's connection to the broker, and a way to the resource.
struct Client {
    session: Session,
    laboratory: Laboratory,
}

impl Client {
    async fn start() -> Self {
        let laboratory = Laboratory::signing_in(USER).unwrap();
        let person = laboratory.person(USER).unwrap();
        let engine = emulated::engine(&laboratory, person).await.unwrap();
        let broker: Arc<dyn Broker> = Arc::new(engine);
        let session = Session::new(broker, CallerId::new("client"), None);
        Self { session, laboratory }
    }

    /// A request as MSAL's runtime makes it, with some of the parameters changed.
    fn request(&self, changes: &Value) -> String {
        let ready = self.laboratory.ready();
        let mut parameters = json!({
            "accessTokenToRenew": "", "account": null,
            "additionalQueryParametersForAuthorization": { "x-client-xtra-sku": "MSAL.Python|1.39.0" },
            "authority": format!("{}/{}", ready.authority_host, ready.tenant),
            "authorizationType": 1, "clientId": APP, "decodedClaims": "", "popParams": null,
            "requestedScopes": ["https://storage.azure.com/.default"], "username": "",
        });
        for (name, value) in changes.as_object().unwrap() {
            parameters[name] = value.clone();
        }
        json!({ "authParameters": parameters, "keybearer": { "timeoutMs": 20_000 } }).to_string()
    }

    async fn interactively(&self, changes: Value) -> Value {
        let reply =
            self.session.acquire_token_interactively("c", &self.request(&changes), None).await;
        token(&reply)
    }

    async fn silently(&self, changes: Value) -> Value {
        token(&self.session.answer::<AcquireTokenSilently>("c", &self.request(&changes)).await)
    }

    fn resource(&self) -> String {
        let endpoint = &self.laboratory.ready().blob_endpoint;
        endpoint.trim_start_matches("https://").split('/').next().unwrap().to_owned()
    }

    /// Sends a signed request: status, and what the resource says.
    async fn send(&self, method: &str, path: &str, signed: &str) -> (u16, Value) {
        let url = format!("https://{}{path}", self.resource());
        let request = self.laboratory.client().http().request(method.parse().unwrap(), url);
        let reply = request.header("authorization", format!("PoP {signed}")).send().await.unwrap();
        let status = reply.status().as_u16();
        (status, serde_json::from_str(&reply.text().await.unwrap()).unwrap())
    }

    async fn requests(&self) -> Vec<Value> {
        self.laboratory.client().requests().await.unwrap()
    }
}

fn token(reply: &str) -> Value {
    let reply: Value = serde_json::from_str(reply).unwrap();
    let token = reply["brokerTokenResponse"].clone();
    assert!(token["accessToken"].is_string(), "{}", token["error"]["context"]);
    token
}

/// The claims of a JWT.
fn claims(jwt: &Value) -> Value {
    let payload = jwt.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finished_signed_request_opens_the_resource_it_was_made_for_and_nothing_else() {
    let client = Client::start().await;
    let proof = |method: &str, path: &str| {
        json!({ "popParams": {
            "clientClaims": r#"{"app":"data"}"#, "homeAccountId": "", "httpMethod": method,
            "nonce": "", "uriHost": client.resource(), "uriPath": path,
        }})
    };
    let path = "/pop/items?top=1&filter=a%20b";
    // First with a sign-in, then from the cache: the token is the same, the signature is not.
    let first = client.interactively(proof("GET", path)).await;
    let second = client.silently(proof("GET", path)).await;
    for token in [&first, &second] {
        assert_eq!(token["accessTokenType"], 1);
        let signed = token["accessToken"].as_str().unwrap();
        let (status, body) = client.send("GET", path, signed).await;
        assert_eq!((status, &body["upn"]), (200, &json!(USER)), "{body}");
        assert_eq!(body["query_signed"], true);
        assert_eq!(body["client_claims"], json!({ "app": "data" }));
        assert_eq!(client.send("GET", path, signed).await.0, 401, "a signature is good once");
    }
    assert_eq!(claims(&first["accessToken"])["at"], claims(&second["accessToken"])["at"]);
    for (method, sent_to) in [("POST", path), ("GET", "/pop/other"), ("GET", "/pop/items?top=2")] {
        let token = client.silently(proof("GET", path)).await;
        let (status, _) =
            client.send(method, sent_to, token["accessToken"].as_str().unwrap()).await;
        assert_eq!(status, 401, "{method} {sent_to}");
    }
    let bearer = client.silently(json!({})).await;
    assert_eq!(bearer["accessTokenType"], 0);
    assert_eq!(client.send("GET", path, bearer["accessToken"].as_str().unwrap()).await.0, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_for_an_apps_key_is_bound_to_it_by_the_provider() {
    let client = Client::start().await;
    client.interactively(json!({})).await;
    let thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
    let token = client.silently(json!({ "popParams": { "kid": thumbprint } })).await;
    assert_eq!(claims(&token["accessToken"])["cnf"], json!({ "kid": thumbprint }));
    let asked = client.requests().await;
    assert!(asked.iter().any(|entry| entry["token_type"] == "pop"), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_in_alone_gives_an_id_token_and_a_token_for_user_info() {
    let client = Client::start().await;
    let token = client.interactively(json!({ "requestedScopes": ["openid", "profile"] })).await;
    assert_eq!(claims(&token["idToken"])["preferred_username"], USER);
    assert_eq!(claims(&token["accessToken"])["aud"], "https://graph.microsoft.com");
    let granted: Vec<&str> = token["grantedScopes"].as_str().unwrap().split(' ').collect();
    assert!(granted.contains(&"openid") && granted.contains(&"profile"));
    client.silently(json!({ "requestedScopes": [] })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_inside_another_signs_in_by_way_of_its_host() {
    let client = Client::start().await;
    let host = json!({ "brk_client_id": SAMPLE, "brk_redirect_uri": "http://localhost" });
    let nested = json!({ "additionalQueryParametersForAuthorization": host });
    client.interactively(nested.clone()).await;
    let other = "https://management.azure.com/.default";
    let mut silent = nested;
    silent["requestedScopes"] = json!([other]);
    client.silently(silent).await;
    let asked = client.requests().await;
    let by_host = asked.iter().filter(|entry| entry["brk_client_id"] == SAMPLE);
    let paths: Vec<&str> = by_host.map(|entry| entry["path"].as_str().unwrap()).collect();
    let times = |end: &str| paths.iter().filter(|path| path.ends_with(end)).count();
    assert_eq!((times("/authorize"), times("/token")), (1, 2), "{paths:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_sign_in_serves_every_resource_and_a_refused_token_is_renewed() {
    let client = Client::start().await;
    client.interactively(json!({})).await;
    for scope in ["https://management.azure.com/.default", "https://vault.azure.net/.default"] {
        client.silently(json!({ "requestedScopes": [scope] })).await;
    }
    let token = client.silently(json!({})).await["accessToken"].clone();
    assert_eq!(client.silently(json!({})).await["accessToken"], token);
    let renewed = client.silently(json!({ "accessTokenToRenew": &token })).await;
    assert_ne!(renewed["accessToken"], token);
    // Claims reach the provider and leave the cache aside.
    let challenge =
        r#"{"access_token":{"acrs":{"essential":true,"value":"c1"},"xms_cc":{"values":["CP1"]}}}"#;
    let stepped_up = client.silently(json!({ "decodedClaims": challenge })).await;
    let claims = claims(&stepped_up["accessToken"]);
    assert_eq!((&claims["acrs"], &claims["xms_cc"]), (&json!(["c1"]), &json!(["cp1"])), "{claims}");
    let asked = client.requests().await;
    let sign_ins = asked.iter().filter(|entry| entry["grant"] == "authorization_code").count();
    assert_eq!(sign_ins, 1);
}
