//! An identity provider in memory. It answers the engine's requests as Entra would, with signed id
//! tokens and rotating refresh tokens. It checks less than the emulator.
#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails at once")]

mod directory;
mod rotation;
mod signing;
mod template;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Response;
use keybearer_protocol::Body;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use self::directory::directory;
pub use self::directory::{APP, CONTOSO, DEV, FABRIKAM, GUEST, OPS, USERS, User};
use self::rotation::{Refusal, Rotation};
pub use self::template::Template;
use crate::effects::{ManualClock, SeededRandom, lock};
use crate::leak::Secrets;

/// The provider. Clones share their state.
#[derive(Clone, Debug)]
pub struct FakeProvider(Arc<ProviderState>);

#[derive(Debug)]
struct ProviderState {
    clock: ManualClock,
    random: SeededRandom,
    secrets: Secrets,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    codes: HashMap<String, Code>,
    device_codes: HashMap<String, DeviceState>,
    rotation: Rotation,
    lifetimes: Lifetimes,
    listed_hosts: BTreeSet<String>,
}

/// How long access tokens last, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// `expires_in`.
    pub expires_in: u64,
    /// `refresh_in`, if it is sent.
    pub refresh_in: Option<u64>,
}

/// What a code stands for.
#[derive(Debug)]
struct Code {
    user: User,
    client: String,
    redirect_uri: String,
    challenge: String,
    nonce: String,
}

/// The state of a device code.
#[derive(Clone, Copy, Debug)]
enum DeviceState {
    Waiting,
    Entered(User),
    Declined,
}

/// The parts of a request that the provider reads.
#[derive(Clone, Debug)]
pub(crate) struct ProviderCall {
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) query: HashMap<String, String>,
    /// Contains secrets, so it is never printed.
    pub(crate) form: Form,
}

/// The form of a request; its `Debug` prints the names only.
#[derive(Clone, Default)]
pub(crate) struct Form(pub(crate) HashMap<String, String>);

impl Form {
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl ProviderCall {
    /// The tenant in the path: `/tenant/...`.
    fn tenant(&self) -> &str {
        self.path.split('/').nth(1).unwrap_or_default()
    }
}

/// For tests.
impl FakeProvider {
    /// A provider with this clock, which adds its secrets to the list.
    #[must_use]
    pub fn new(clock: ManualClock, random: SeededRandom, secrets: Secrets) -> Self {
        let state = State {
            codes: HashMap::new(),
            device_codes: HashMap::new(),
            rotation: Rotation::default(),
            lifetimes: Lifetimes { expires_in: 3600, refresh_in: None },
            listed_hosts: ["login.new-cloud.example".to_owned()].into(),
        };
        Self(Arc::new(ProviderState { clock, random, secrets, state: Mutex::new(state) }))
    }

    /// Sets the lifetime of access tokens from now on.
    pub fn set_lifetimes(&self, lifetimes: Lifetimes) {
        lock(&self.0.state).lifetimes = lifetimes;
    }

    /// Makes a family of apps, which may use each other's refresh tokens. Replies to them contain `foci`.
    pub fn make_family(&self, clients: &[&str]) {
        lock(&self.0.state).rotation.share(clients);
    }

    /// Ends every session of a user: their refresh tokens are refused from now on.
    pub fn revoke(&self, user: User) {
        lock(&self.0.state).rotation.revoke(user);
    }

    /// How often a refresh token was redeemed after its successor had been used.
    #[must_use]
    pub fn reuses(&self) -> usize {
        lock(&self.0.state).rotation.reuses()
    }

    /// A person signs in at the authorization endpoint: the form that the browser brings to the
    /// redirect URI.
    ///
    /// # Panics
    /// If the address is not an authorization request.
    #[must_use]
    pub fn sign_in(&self, address: &Url, user: User) -> String {
        let query: HashMap<String, String> = address.query_pairs().into_owned().collect();
        assert_eq!(query["code_challenge_method"], "S256", "PKCE is not optional (invariant I9)");
        let code = self.secret("authorization code", "0.code-");
        self.0.secrets.note("state", &query["state"]);
        let entry = Code {
            user,
            client: query["client_id"].clone(),
            redirect_uri: query["redirect_uri"].clone(),
            challenge: query["code_challenge"].clone(),
            nonce: query["nonce"].clone(),
        };
        lock(&self.0.state).codes.insert(code.clone(), entry);
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("code", &code).append_pair("state", &query["state"]);
        form.append_pair("client_info", &client_info(user)).finish()
    }

    /// A person enters the device code that was issued, and signs in.
    pub fn enter_device_codes(&self, user: User) {
        self.settle_device_codes(DeviceState::Entered(user));
    }

    /// A person enters the device code that was issued, and declines.
    pub fn decline_device_codes(&self) {
        self.settle_device_codes(DeviceState::Declined);
    }

    fn settle_device_codes(&self, settled: DeviceState) {
        lock(&self.0.state).device_codes.values_mut().for_each(|state| *state = settled);
    }

    fn secret(&self, what: &'static str, prefix: &str) -> String {
        let secret = self.0.random.text(prefix);
        self.0.secrets.note(what, &secret);
        secret
    }
}

/// The replies.
impl FakeProvider {
    pub(crate) fn answer(&self, call: &ProviderCall) -> Response<Body> {
        if call.path.ends_with("/discovery/instance") {
            return self.instance(call);
        }
        let known = matches!(call.tenant(), "common" | "organizations" | "consumers");
        if !known && directory(call.tenant()).is_none() {
            return self.error("invalid_tenant", "AADSTS90002: Tenant not found");
        }
        match call.path.rsplit('/').next().unwrap_or_default() {
            "openid-configuration" => self.json(200, &configuration(call)),
            "keys" => self.json(200, &signing::key_set()),
            "token" => self.token(call),
            "devicecode" => self.device_code(),
            _ => self.json(404, &json!({})),
        }
    }

    fn instance(&self, call: &ProviderCall) -> Response<Body> {
        let asked = call.query.get("authorization_endpoint").and_then(|url| Url::parse(url).ok());
        let host = asked.as_ref().and_then(Url::host_str).unwrap_or_default();
        if lock(&self.0.state).listed_hosts.contains(host) {
            let cloud = json!({ "preferred_network": host, "aliases": [host] });
            return self.json(200, &json!({ "metadata": [cloud] }));
        }
        self.error("invalid_instance", "AADSTS50049: Unknown or invalid instance")
    }

    fn token(&self, call: &ProviderCall) -> Response<Body> {
        match call.form.get("grant_type") {
            "authorization_code" => self.redeem_code(call),
            "refresh_token" => self.redeem_refresh_token(call),
            "urn:ietf:params:oauth:grant-type:device_code" => self.poll_device_code(call),
            _ => self.error("unsupported_grant_type", "AADSTS70003: Unsupported grant"),
        }
    }

    fn redeem_code(&self, call: &ProviderCall) -> Response<Body> {
        let form = &call.form;
        let code = lock(&self.0.state).codes.remove(form.get("code"));
        let good = code.filter(|code| {
            let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(form.get("code_verifier")));
            code.client == form.get("client_id")
                && code.redirect_uri == form.get("redirect_uri")
                && code.challenge == challenge
        });
        let Some(code) = good else {
            return self.error("invalid_grant", "AADSTS54005: The code was redeemed already");
        };
        let refresh_token = self.secret("refresh token", "1.rt-");
        lock(&self.0.state).rotation.begin(code.user, &code.client, &refresh_token);
        self.issue(call, code.user, Some(&code.nonce), &refresh_token)
    }

    fn device_code(&self) -> Response<Body> {
        let device_code = self.secret("device code", "D-");
        lock(&self.0.state).device_codes.insert(device_code.clone(), DeviceState::Waiting);
        let body = json!({
            "device_code": device_code,
            "user_code": "ABCDEFGHJ",
            "verification_uri": "https://login.microsoft.com/device",
            "expires_in": 900,
            "interval": 5,
        });
        self.json(200, &body)
    }

    fn poll_device_code(&self, call: &ProviderCall) -> Response<Body> {
        let state = lock(&self.0.state).device_codes.get(call.form.get("device_code")).copied();
        match state {
            Some(DeviceState::Waiting) => {
                self.error("authorization_pending", "AADSTS70016: Authorization is pending")
            }
            Some(DeviceState::Entered(user)) => {
                let refresh_token = self.secret("refresh token", "1.rt-");
                let client = call.form.get("client_id");
                lock(&self.0.state).rotation.begin(user, client, &refresh_token);
                self.issue(call, user, None, &refresh_token)
            }
            Some(DeviceState::Declined) => {
                self.error("authorization_declined", "AADSTS70017: Authorization is declined")
            }
            None => self.error("bad_verification_code", "AADSTS70018: Invalid code"),
        }
    }

    fn redeem_refresh_token(&self, call: &ProviderCall) -> Response<Body> {
        let (shown, client) = (call.form.get("refresh_token"), call.form.get("client_id"));
        let redeemed = lock(&self.0.state).rotation.redeem(shown, client);
        let redeemed = match redeemed {
            Ok(redeemed) => redeemed,
            Err(Refusal::Revoked) => {
                return self.error("invalid_grant", "AADSTS50173: The grant was revoked");
            }
            Err(Refusal::OtherApp) => {
                let body = json!({
                    "error": "invalid_grant",
                    "error_description": "AADSTS70000: The token was issued to another client",
                    "error_codes": [70000],
                    "suberror": "client_mismatch",
                });
                return self.json(400, &body);
            }
        };
        let successor = self.secret("refresh token", "1.rt-");
        lock(&self.0.state).rotation.succeed(&redeemed, &successor);
        self.issue(call, redeemed.user, None, &successor)
    }

    fn issue(
        &self,
        call: &ProviderCall,
        user: User,
        nonce: Option<&str>,
        refresh_token: &str,
    ) -> Response<Body> {
        let lifetimes = lock(&self.0.state).lifetimes;
        let mut body = json!({
            "token_type": if call.form.get("token_type") == "pop" { "pop" } else { "Bearer" },
            "scope": resource_scopes(&call.form).join(" "),
            "expires_in": lifetimes.expires_in,
            "ext_expires_in": lifetimes.expires_in,
            "access_token": self.secret("access token", "at."),
            "refresh_token": refresh_token,
            "id_token": self.id_token(call, user, nonce, &json!({})),
            "client_info": client_info(user),
        });
        if lock(&self.0.state).rotation.shares(call.form.get("client_id")) {
            body["foci"] = "1".into();
        }
        if let Some(refresh_in) = lifetimes.refresh_in {
            body["refresh_in"] = refresh_in.into();
        }
        self.json(200, &body)
    }

    /// A signed id token; `changes` replaces claims, `kid` among them the key's id.
    fn id_token(
        &self,
        call: &ProviderCall,
        user: User,
        nonce: Option<&str>,
        changes: &Value,
    ) -> String {
        let now = self.0.clock.true_time().unix_seconds();
        let tenant = directory(call.tenant()).unwrap_or(user.home);
        let mut claims = json!({
            "iss": format!("https://{}/{tenant}/v2.0", call.host),
            "sub": format!("sub-{}", user.oid),
            "aud": call.form.get("client_id"),
            "iat": now, "nbf": now, "exp": now + 3600,
            "tid": tenant, "oid": user.oid, "name": user.name,
            "preferred_username": user.username,
        });
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        for (name, value) in changes.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        let token = signing::sign(&claims, changes["kid"].as_str());
        self.0.secrets.note("id token", &token);
        token
    }

    fn error(&self, error: &str, description: &str) -> Response<Body> {
        let code = description.split(':').next().unwrap_or_default().trim_start_matches("AADSTS");
        let body = json!({
            "error": error,
            "error_description": format!("{description}. Trace ID: 5c5a Correlation ID: 77aa"),
            "error_codes": [code.parse::<u32>().unwrap_or_default()],
            "trace_id": "5c5a",
        });
        self.json(400, &body)
    }

    fn json(&self, status: u16, body: &Value) -> Response<Body> {
        Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .header("date", self.date())
            .body(Body::new(body.to_string().into_bytes()))
            .unwrap()
    }

    fn date(&self) -> String {
        let seconds = u64::try_from(self.0.clock.true_time().unix_seconds()).unwrap_or_default();
        httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds))
    }
}

fn configuration(call: &ProviderCall) -> Value {
    let (host, tenant) = (&call.host, call.tenant());
    let issued_by = directory(tenant).unwrap_or("{tenantid}");
    let base = format!("https://{host}/{tenant}");
    json!({
        "issuer": format!("https://{host}/{issued_by}/v2.0"),
        "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{base}/oauth2/v2.0/token"),
        "device_authorization_endpoint": format!("{base}/oauth2/v2.0/devicecode"),
        "jwks_uri": format!("{base}/discovery/v2.0/keys"),
    })
}

pub(crate) fn resource_scopes(form: &Form) -> Vec<&str> {
    let sign_in = |scope: &&str| keybearer_core::OIDC_SCOPES.contains(scope);
    form.get("scope").split_whitespace().filter(|scope| !sign_in(scope)).collect()
}

fn client_info(user: User) -> String {
    URL_SAFE_NO_PAD.encode(json!({ "uid": user.oid, "utid": user.home }).to_string())
}
