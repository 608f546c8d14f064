//! A running emulator, an HTTP client that trusts it, and a person at a browser.

use std::collections::HashMap;
use std::sync::Mutex;

use keybearer_emulator::{Emulator, EmulatorOptions, ReadyUser};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, RequestBuilder, Response};
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

pub(crate) struct Lab {
    pub(crate) emulator: Emulator,
    pub(crate) http: Client,
}

impl Lab {
    pub(crate) fn start() -> Self {
        Self::with(EmulatorOptions::default())
    }

    pub(crate) fn with(options: EmulatorOptions) -> Self {
        let emulator = Emulator::start(options).unwrap();
        let http = client(&emulator);
        Self { emulator, http }
    }

    pub(crate) fn tenant(&self) -> &str {
        &self.emulator.ready().tenant
    }

    pub(crate) fn user(&self, name: &str) -> ReadyUser {
        let users = &self.emulator.ready().users;
        users.iter().find(|user| user.upn.starts_with(name)).unwrap().clone()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.emulator.ready().authority_host)
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.http.get(self.url(path)).send().await.unwrap()
    }

    /// Posts to a control endpoint.
    pub(crate) async fn control(&self, what: &str, body: Value) {
        let reply = self
            .http
            .post(self.url(&format!("/emulator/{what}")))
            .json(&body)
            .send()
            .await
            .unwrap();
        assert!(reply.status().is_success(), "{}", reply.text().await.unwrap());
    }

    pub(crate) async fn outcomes(&self) -> Vec<String> {
        let requests: Value = self.get("/emulator/requests").await.json().await.unwrap();
        let outcomes = requests.as_array().unwrap().iter();
        outcomes.map(|entry| entry["outcome"].as_str().unwrap().to_owned()).collect()
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
        self.http.post(self.url(&format!("/{tenant}/oauth2/v2.0/token"))).form(form).send().await
    }

    /// The authorize URL of a good request, with some parameters changed; an empty value takes one away.
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
        let person = Person::new(self, user);
        let landing = person.visit(&self.authorize_url(changes)).await;
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

fn client(emulator: &Emulator) -> Client {
    let ca = std::fs::read(&emulator.ready().ca).unwrap();
    let ports = emulator.ready().ports;
    let at = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    Client::builder()
        .add_root_certificate(Certificate::from_pem(&ca).unwrap())
        // For an emulator that is called what Azure is called.
        .resolve("login.microsoftonline.com", at(ports.authority))
        .resolve("devstoreaccount1.blob.core.windows.net", at(ports.blob))
        .redirect(Policy::none())
        .no_proxy()
        .build()
        .unwrap()
}

/// A user with a browser of their own.
pub(crate) struct Person {
    http: Client,
    user: ReadyUser,
    host: String,
    /// The session's cookie, once there is one.
    cookie: Mutex<String>,
}

impl Person {
    pub(crate) fn new(lab: &Lab, user: &str) -> Self {
        let host = lab.emulator.ready().authority_host.clone();
        Self { http: client(&lab.emulator), user: lab.user(user), host, cookie: Mutex::default() }
    }

    /// Fills in and submits forms until there is nothing more to do here.
    pub(crate) async fn visit(&self, url: &str) -> Landing {
        self.visit_pressing(url, &[]).await
    }

    /// The same, preferring buttons with these values to the first of each page.
    pub(crate) async fn visit_pressing(&self, url: &str, presses: &[&str]) -> Landing {
        let mut landing = self.open(url).await;
        for _ in 0..8 {
            let Some(form) = landing.form() else {
                return landing;
            };
            landing = self.submit(&form, presses).await;
        }
        panic!("no end of pages: {}", landing.html);
    }

    /// One page, without doing anything on it.
    pub(crate) async fn open(&self, url: &str) -> Landing {
        self.send(self.http.get(url)).await
    }

    pub(crate) async fn submit(&self, form: &Form, presses: &[&str]) -> Landing {
        let values = form.inputs.iter().map(|(name, kind, value)| match kind.as_str() {
            "email" => (name.clone(), self.user.upn.clone()),
            "password" => (name.clone(), self.user.password.clone()),
            _ => (name.clone(), value.clone()),
        });
        let pressed = form.buttons.iter().find(|(_, value)| presses.contains(&value.as_str()));
        let pressed = pressed.unwrap_or(&form.buttons[0]).clone();
        let body: Vec<_> = values.chain([pressed]).collect();
        let url = format!("{}{}", self.host, form.action);
        self.send(self.http.post(url).form(&body)).await
    }

    /// The emulator has one cookie, and redirects only to apps.
    async fn send(&self, request: RequestBuilder) -> Landing {
        let cookie = self.cookie.lock().unwrap().clone();
        let reply = request.header("cookie", cookie).send().await.unwrap();
        let header =
            |name| reply.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        if let Some(set) = header("set-cookie") {
            *self.cookie.lock().unwrap() = set.split(';').next().unwrap().to_owned();
        }
        Landing { location: header("location"), html: reply.text().await.unwrap() }
    }
}

/// Where a browser ended up: on a page, or sent back to the app.
pub(crate) struct Landing {
    pub(crate) location: Option<String>,
    pub(crate) html: String,
}

impl Landing {
    /// What the app receives, in any response mode.
    pub(crate) fn parameters(&self) -> HashMap<String, String> {
        let Some(location) = &self.location else {
            return self
                .parse_form()
                .unwrap()
                .inputs
                .into_iter()
                .map(|(name, _, value)| (name, value))
                .collect();
        };
        let url = Url::parse(location).unwrap();
        let encoded = url.query().or_else(|| url.fragment()).unwrap();
        url::form_urlencoded::parse(encoded.as_bytes()).into_owned().collect()
    }

    pub(crate) fn title(&self) -> String {
        let start = self.html.find("<h1>").unwrap() + 4;
        unescape(self.html[start..].split('<').next().unwrap())
    }

    /// The form to go on with; one that leads to the app is the end.
    pub(crate) fn form(&self) -> Option<Form> {
        self.parse_form().filter(|form| form.action.starts_with('/'))
    }

    pub(crate) fn parse_form(&self) -> Option<Form> {
        let tags = |tag: &str| -> Vec<HashMap<String, String>> {
            let start = format!("<{tag} ");
            let parts = self.html.split(&start).skip(1);
            parts.map(|part| attributes(part.split('>').next().unwrap())).collect()
        };
        let form = tags("form").into_iter().next()?;
        let take =
            |tag: &HashMap<String, String>, name: &str| tag.get(name).cloned().unwrap_or_default();
        Some(Form {
            action: take(&form, "action"),
            inputs: tags("input")
                .iter()
                .map(|tag| (take(tag, "name"), take(tag, "type"), take(tag, "value")))
                .collect(),
            buttons: tags("button")
                .iter()
                .map(|tag| (take(tag, "name"), take(tag, "value")))
                .collect(),
        })
    }
}

pub(crate) struct Form {
    pub(crate) action: String,
    /// Name, type, value.
    pub(crate) inputs: Vec<(String, String, String)>,
    /// Name, value.
    pub(crate) buttons: Vec<(String, String)>,
}

fn attributes(tag: &str) -> HashMap<String, String> {
    let mut parts = tag.split('"');
    let mut found = HashMap::new();
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        let name = name.trim().trim_end_matches('=').rsplit(' ').next().unwrap();
        found.insert(name.to_owned(), unescape(value));
    }
    found
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

/// The claims of a JWT whose signature and audience an implementation that is not ours has checked.
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

/// A fault that strikes every request of an endpoint.
pub(crate) fn always(endpoint: &str, action: Value) -> Value {
    json!({"endpoint": endpoint, "action": action})
}
