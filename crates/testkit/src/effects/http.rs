use std::collections::HashMap;
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use http::{Request, Response};
use keybearer_core::{Error, Missing, Result};
use keybearer_engine::Http;
use keybearer_protocol::Body;

use super::{Gate, lock};
use crate::leak::Secrets;
use crate::provider::{FakeProvider, Form, ProviderCall, Template, resource_scopes};

/// The network: the provider answers every request that no rule applies to.
#[derive(Clone)]
pub struct ScriptedHttp(Arc<HttpState>);

struct HttpState {
    provider: FakeProvider,
    secrets: Secrets,
    rules: Mutex<Vec<Rule>>,
    asked: Mutex<Vec<SentRequest>>,
}

/// A rule for some requests.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The end of the path.
    pub path: String,
    /// The `grant_type`, if it matters.
    pub grant: Option<String>,
    /// A requested scope, if it matters.
    pub scope: Option<String>,
    /// The number of requests that it applies to.
    pub times: usize,
    /// The effect.
    pub action: Action,
}

impl Rule {
    /// A rule for every token request.
    #[must_use]
    pub fn tokens(action: Action) -> Self {
        Self { path: "/token".to_owned(), grant: None, scope: None, times: usize::MAX, action }
    }

    /// A rule for every request whose path ends like this.
    #[must_use]
    pub fn path(path: &str, action: Action) -> Self {
        Self { path: path.to_owned(), ..Self::tokens(action) }
    }

    /// Limits the rule to so many requests.
    #[must_use]
    pub fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// Limits the rule to requests for this scope.
    #[must_use]
    pub fn scope(self, scope: &str) -> Self {
        Self { scope: Some(scope.to_owned()), ..self }
    }

    fn matches(&self, asked: &SentRequest) -> bool {
        self.times > 0
            && asked.path.ends_with(&self.path)
            && self.grant.as_ref().is_none_or(|grant| asked.grant.as_ref() == Some(grant))
            && self.scope.as_ref().is_none_or(|scope| asked.scopes.contains(scope))
    }
}

/// The effect of a rule on a request.
#[derive(Clone, Debug)]
pub enum Action {
    /// The provider answers like this.
    Answer(Template),
    /// There is no answer.
    Stall,
    /// The connection breaks before the provider has read the request.
    Cut,
    /// The connection breaks after the provider has answered.
    AnswerLost,
    /// The provider cannot be reached.
    Unreachable,
    /// The request waits at the gate before it reaches the provider.
    HoldRequest(Gate),
    /// The answer waits at the gate.
    HoldAnswer(Gate),
    /// The provider answers as without a rule.
    Pass,
}

/// A request that was made, without its secrets.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SentRequest {
    /// `host[:port]`.
    pub host: String,
    /// The path.
    pub path: String,
    /// The `grant_type` of a token request.
    pub grant: Option<String>,
    /// The resource scopes of a token request, sorted.
    pub scopes: Vec<String>,
    /// The `brk_client_id` of a token request.
    pub nested_in: Option<String>,
    /// The `claims` of a token request.
    pub claims: Option<String>,
}

impl ScriptedHttp {
    /// A network with this provider.
    #[must_use]
    pub fn new(provider: FakeProvider, secrets: Secrets) -> Self {
        let (rules, asked) = Default::default();
        Self(Arc::new(HttpState { provider, secrets, rules, asked }))
    }

    /// Adds a rule; earlier ones come first.
    pub fn rule(&self, rule: Rule) {
        lock(&self.0.rules).push(rule);
    }

    /// Removes all rules.
    pub fn clear_rules(&self) {
        lock(&self.0.rules).clear();
    }

    /// Every request so far.
    #[must_use]
    pub fn asked(&self) -> Vec<SentRequest> {
        lock(&self.0.asked).clone()
    }

    /// The number of token requests so far.
    #[must_use]
    pub fn token_requests(&self) -> usize {
        lock(&self.0.asked).iter().filter(|asked| asked.grant.is_some()).count()
    }

    /// Clears the list of requests.
    pub fn forget(&self) {
        lock(&self.0.asked).clear();
    }

    fn action(&self, asked: &SentRequest) -> Action {
        let mut rules = lock(&self.0.rules);
        let Some(rule) = rules.iter_mut().find(|rule| rule.matches(asked)) else {
            return Action::Pass;
        };
        rule.times = rule.times.saturating_sub(1);
        rule.action.clone()
    }

    /// Notes the secrets in a request, which only the provider may see.
    fn note_secrets(&self, form: &Form) {
        for (name, what) in [
            ("refresh_token", "refresh token"),
            ("code", "authorization code"),
            ("code_verifier", "code verifier"),
        ] {
            self.0.secrets.note(what, form.get(name));
        }
    }
}

#[async_trait]
impl Http for ScriptedHttp {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>> {
        let call = read(&request);
        self.note_secrets(&call.form);
        let asked = asked(&call);
        let action = self.action(&asked);
        lock(&self.0.asked).push(asked);
        let provider = &self.0.provider;
        // An answer takes a turn of the runtime even if it is ready, as on a network.
        tokio::task::yield_now().await;
        match action {
            Action::Pass => Ok(provider.answer(&call)),
            Action::Answer(template) => Ok(provider.recite(&template, &call)),
            Action::Stall => pending().await,
            Action::Cut => Err(cut(&call)),
            Action::AnswerLost => {
                drop(provider.answer(&call));
                Err(cut(&call))
            }
            Action::Unreachable => {
                let message = format!("connect to {}: no route to host", call.host);
                Err(Error::unavailable(Missing::Network, message))
            }
            Action::HoldRequest(gate) => {
                gate.pass().await;
                Ok(provider.answer(&call))
            }
            Action::HoldAnswer(gate) => {
                let answer = provider.answer(&call);
                gate.pass().await;
                Ok(answer)
            }
        }
    }
}

impl fmt::Debug for ScriptedHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedHttp").field("asked", &self.asked()).finish_non_exhaustive()
    }
}

fn cut(call: &ProviderCall) -> Error {
    Error::transient(None, format!("the connection to {} broke", call.host))
}

fn read(request: &Request<Body>) -> ProviderCall {
    let uri = request.uri();
    let pairs = |encoded: &[u8]| -> HashMap<String, String> {
        url::form_urlencoded::parse(encoded).into_owned().collect()
    };
    ProviderCall {
        host: uri.authority().map(ToString::to_string).unwrap_or_default(),
        path: uri.path().to_owned(),
        query: pairs(uri.query().unwrap_or_default().as_bytes()),
        form: Form(pairs(request.body().expose())),
    }
}

fn asked(call: &ProviderCall) -> SentRequest {
    let value = |name: &str| Some(call.form.get(name).to_owned()).filter(|text| !text.is_empty());
    let mut scopes: Vec<String> = resource_scopes(&call.form).into_iter().map(Into::into).collect();
    scopes.sort_unstable();
    SentRequest {
        host: call.host.clone(),
        path: call.path.clone(),
        grant: value("grant_type"),
        scopes,
        nested_in: value("brk_client_id"),
        claims: value("claims"),
    }
}
