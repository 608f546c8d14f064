use std::collections::BTreeMap;

use http::Response;
use keybearer_protocol::Body;
use serde::Deserialize;
use serde_json::{Value, json};

use super::directory::User;
use super::{FakeProvider, ProviderCall, client_info};
use crate::effects::lock;

/// A recorded answer. Its texts may contain placeholders, which are filled in again in every run:
///
/// * `{{access_token}}`, `{{refresh_token}}`: a new secret; the refresh token continues the session
///   of the request
/// * `{{id_token}}`, `{{id_token:ops@contoso.example}}`: a signed id token for the person of the
///   request or another; claims can be replaced, as in `{{id_token:nonce=other,exp=0}}`, and `kid`
///   replaces the id of the key
/// * `{{client_info}}`, `{{client_info:ops@contoso.example}}`
/// * `{{date+30}}`: the provider's date in so many seconds
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// JSON, or the text of a body that is none.
    body: Value,
}

const fn ok() -> u16 {
    200
}

/// The user and the request that a template is filled in for.
struct Filling<'a> {
    provider: &'a FakeProvider,
    call: &'a ProviderCall,
    user: Option<User>,
    nonce: Option<String>,
}

impl Template {
    /// An answer with a status and a JSON body.
    #[must_use]
    pub fn new(status: u16, body: Value) -> Self {
        Self { status, headers: BTreeMap::new(), body }
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }
}

impl FakeProvider {
    /// Answers with a template instead of the provider's own reply.
    pub(crate) fn recite(&self, template: &Template, call: &ProviderCall) -> Response<Body> {
        let (user, nonce) = self.person_behind(call);
        let filling = Filling { provider: self, call, user, nonce };
        let body = match filling.fill(&template.body) {
            Value::String(text) => text,
            json => json.to_string(),
        };
        let mut response = Response::builder().status(template.status).header("date", self.date());
        if !template.headers.contains_key("content-type") {
            response = response.header("content-type", "application/json");
        }
        for (name, value) in &template.headers {
            response = response.header(name, filling.text(value));
        }
        response.body(Body::new(body.into_bytes())).unwrap()
    }

    fn person_behind(&self, call: &ProviderCall) -> (Option<User>, Option<String>) {
        let state = lock(&self.0.state);
        match state.codes.get(call.form.get("code")) {
            Some(code) => (Some(code.user), Some(code.nonce.clone())),
            None => (state.rotation.owner(call.form.get("refresh_token")), None),
        }
    }
}

impl Filling<'_> {
    fn fill(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.fill(item)).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), self.fill(value))).collect()
            }
            other => other.clone(),
        }
    }

    fn text(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (placeholder, after) = after.split_once("}}").unwrap();
            filled.push_str(before);
            filled.push_str(&self.placeholder(placeholder));
            rest = after;
        }
        filled + rest
    }

    fn placeholder(&self, placeholder: &str) -> String {
        let (name, arguments) = placeholder.split_once(':').unwrap_or((placeholder, ""));
        let named = arguments.split(',').find_map(User::named);
        match name {
            "access_token" => self.provider.secret("access token", "at."),
            "refresh_token" => self.refresh_token(),
            "id_token" => {
                let user = named.or(self.user).unwrap();
                let nonce = self.nonce.as_deref();
                self.provider.id_token(self.call, user, nonce, &changes(arguments))
            }
            "client_info" => client_info(named.or(self.user).unwrap()),
            _ => self.date(name),
        }
    }

    fn refresh_token(&self) -> String {
        let token = self.provider.secret("refresh token", "1.rt-");
        let form = &self.call.form;
        let mut state = lock(&self.provider.0.state);
        match state.rotation.redeem(form.get("refresh_token"), form.get("client_id")) {
            Ok(redeemed) => state.rotation.succeed(&redeemed, &token),
            Err(_) => state.rotation.begin(self.user.unwrap(), form.get("client_id"), &token),
        }
        token
    }

    fn date(&self, placeholder: &str) -> String {
        let seconds: Option<u64> =
            placeholder.strip_prefix("date+").and_then(|text| text.parse().ok());
        let Some(seconds) = seconds else { panic!("no such placeholder: {placeholder}") };
        let now = u64::try_from(self.provider.0.clock.true_time().unix_seconds()).unwrap();
        let moment = std::time::Duration::from_secs(now + seconds);
        httpdate::fmt_http_date(std::time::UNIX_EPOCH + moment)
    }
}

/// `name=value` pairs; a value that is a number counts as one.
fn changes(arguments: &str) -> Value {
    let mut changes = json!({});
    for (name, value) in arguments.split(',').filter_map(|pair| pair.split_once('=')) {
        changes[name] = value.parse::<i64>().map_or_else(|_| value.into(), Value::from);
    }
    changes
}
