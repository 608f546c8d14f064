//! A laboratory, and the requests of a client that knows OAuth.

use std::collections::HashMap;
use std::ops::Deref;

use keybearer_emulator::{EmulatorOptions, Laboratory, Person};
use reqwest::Response;
use serde_json::{Value, json};
use url::Url;

pub(crate) const AZURE: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";
pub(crate) const SAMPLE: &str = "c0ffee00-1111-4222-8333-444455556666";
pub(crate) const NATIVE_ONLY: &str = "c0ffee00-1111-4222-8333-777788889999";
pub(crate) const FABRIKAM: &str = "a1b5e7d3-92c4-4c6d-8f10-5e3d7c9b2f02";
pub(crate) const STORAGE: &str = "https://storage.azure.com/.default";
pub(crate) const ALL: &str = "openid profile offline_access https://storage.azure.com/.default";
pub(crate) const REDIRECT: &str = "http://localhost:7777";
// RFC 7636 Appendix B.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

pub(crate) struct Lab(Laboratory);

impl Deref for Lab {
    type Target = Laboratory;

    fn deref(&self) -> &Laboratory {
        &self.0
    }
}

impl Lab {
    pub(crate) fn start() -> Self {
        Self::with(EmulatorOptions::default())
    }

    pub(crate) fn with(options: EmulatorOptions) -> Self {
        Self(Laboratory::with(options).unwrap())
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        self.client().http()
    }

    /// A person who opens pages of the emulator only.
    pub(crate) fn person(&self, name: &str) -> Person {
        self.0.person(name).unwrap().staying_at(&self.url(""))
    }

    pub(crate) fn tenant(&self) -> &str {
        &self.ready().tenant
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.http().get(self.url(path)).send().await.unwrap()
    }

    /// Posts to a control endpoint.
    pub(crate) async fn control(&self, what: &str, body: Value) {
        self.client().control(what, &body).await.unwrap();
    }

    pub(crate) async fn outcomes(&self) -> Vec<String> {
        self.client().outcomes_below("").await.unwrap()
    }

    /// A token request at `tenant`: status and body.
    pub(crate) async fn token(&self, tenant: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let reply = self.token_response(tenant, form).await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap())
    }

    pub(crate) async fn token_response(
        &self,
        tenant: &str,
        form: &[(&str, &str)],
    ) -> reqwest::Result<Response> {
        self.http().post(self.url(&format!("/{tenant}/oauth2/v2.0/token"))).form(form).send().await
    }

    /// The authorize URL of a good request, with some parameters changed; an empty value removes one.
    pub(crate) fn authorize_url(&self, changes: &[(&str, &str)]) -> String {
        let mut parameters = HashMap::from([
            ("client_id", AZURE),
            ("response_type", "code"),
            ("redirect_uri", REDIRECT),
            ("scope", ALL),
            ("state", "the state"),
            ("nonce", "the nonce"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("tenant", self.tenant()),
        ]);
        parameters.extend(changes.iter().copied());
        let tenant = parameters.remove("tenant").unwrap();
        parameters.retain(|_, value| !value.is_empty());
        let path = self.url(&format!("/{tenant}/oauth2/v2.0/authorize"));
        Url::parse_with_params(&path, parameters).unwrap().into()
    }

    /// Signs `user` in and redeems the code.
    pub(crate) async fn sign_in(&self, user: &str, changes: &[(&str, &str)]) -> Value {
        let landing = self.person(user).visit(&self.authorize_url(changes)).await.unwrap();
        let code = landing.parameters()["code"].clone();
        let (status, body) = self.redeem(&code).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    pub(crate) async fn redeem(&self, code: &str) -> (u16, Value) {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", AZURE),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
            ("client_info", "1"),
        ];
        self.token("organizations", &form).await
    }

    /// Redeems a refresh token for storage.
    pub(crate) async fn refresh(&self, refresh_token: &str) -> (u16, Value) {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", AZURE),
            ("refresh_token", refresh_token),
            ("scope", ALL),
        ];
        self.token(self.tenant(), &form).await
    }
}

/// The claims of a JWT whose signature and audience another implementation of JWT has checked.
pub(crate) async fn verified(lab: &Lab, jwt: &str, audience: &str) -> Value {
    let path = format!("/{}/discovery/v2.0/keys", lab.tenant());
    let keys: jsonwebtoken::jwk::JwkSet = lab.get(&path).await.json().await.unwrap();
    let header = jsonwebtoken::decode_header(jwt).unwrap();
    let key = keys.find(header.kid.as_deref().unwrap()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    validation.set_audience(&[audience]);
    validation.validate_nbf = true;
    let key = jsonwebtoken::DecodingKey::from_jwk(key).unwrap();
    jsonwebtoken::decode::<Value>(jwt, &key, &validation).unwrap().claims
}

/// A fault that applies to every request to an endpoint.
pub(crate) fn always(endpoint: &str, action: Value) -> Value {
    json!({"endpoint": endpoint, "action": action})
}
