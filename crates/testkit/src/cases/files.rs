use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use keybearer_core::{
    AccountChoice, Authority, AuthorityHost, Claims, ClientId, Prompt, Result, ScopeSet,
    TokenParameters,
};
use keybearer_engine::EngineSettings;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::effects::{Action, Conduct, Pick, Rule, ScriptedPerson};
use crate::engine_harness::{STORAGE, parameters};
use crate::provider::{Template, User};
use crate::sample::deadline;

/// The files of a case directory.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// One sentence.
    pub(super) docs: String,
    #[serde(default)]
    pub(super) clock: ClockFile,
    pub(super) request: RequestFile,
    #[serde(default)]
    pub(super) person: PersonFile,
    pub(super) expect: ExpectFile,
    #[serde(skip)]
    pub(super) store: Vec<Prior>,
    #[serde(skip)]
    pub(super) http: Vec<RuleFile>,
}

/// The clock at the time of the request, in seconds.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ClockFile {
    /// How far the wall clock is ahead of the provider's; negative is behind.
    pub(super) wrong_by: i64,
    /// How long the machine was suspended after the accounts were connected.
    pub(super) suspended: u64,
    /// How much time has passed since the accounts were connected.
    pub(super) passed: u64,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    Silent,
    Interactive,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestFile {
    pub(super) kind: Kind,
    scopes: Option<Vec<String>>,
    /// `only`, `default`, a user principal name or a home account id.
    account: Option<String>,
    authority: Option<String>,
    client_id: Option<String>,
    claims: Option<String>,
    #[serde(default)]
    capabilities: Vec<String>,
    prompt: Option<String>,
    redirect_uri: Option<String>,
    #[serde(default)]
    extra_query: BTreeMap<String, String>,
    /// Seconds.
    timeout: Option<u64>,
    #[serde(default)]
    trusted_hosts: Vec<String>,
}

impl RequestFile {
    pub(super) fn settings(&self) -> EngineSettings {
        let host = |text: &String| AuthorityHost::parse(text).unwrap();
        EngineSettings {
            trusted_authority_hosts: self.trusted_hosts.iter().map(host).collect(),
            ..EngineSettings::default()
        }
    }

    pub(super) fn prompt(&self) -> Prompt {
        Prompt::from_parameter(self.prompt.as_deref().unwrap_or_default())
    }

    /// The request. An error is one that parsing the caller's message would return.
    pub(super) fn parameters(&self) -> Result<TokenParameters> {
        let mut parameters = parameters(STORAGE);
        if let Some(scopes) = &self.scopes {
            parameters.scopes = ScopeSet::parse(scopes)?;
        }
        if let Some(authority) = &self.authority {
            parameters.authority = Authority::parse(authority)?;
        }
        if let Some(client_id) = &self.client_id {
            parameters.client_id = ClientId::parse(client_id)?;
        }
        if let Some(claims) = &self.claims {
            parameters.claims = Claims::parse(claims)?;
        }
        if let Some(seconds) = self.timeout {
            parameters.deadline = deadline(Duration::from_secs(seconds));
        }
        parameters.account = match self.account.as_deref() {
            None | Some("only") => AccountChoice::Only,
            Some("default") => AccountChoice::Default,
            Some(name) => AccountChoice::named(name),
        };
        parameters.capabilities = self.capabilities.iter().map(String::as_str).collect();
        let url = |text: &String| Url::parse(text).unwrap();
        parameters.redirect_uri = self.redirect_uri.as_ref().map(url);
        parameters.extra_query.clone_from(&self.extra_query);
        Ok(parameters)
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonFile {
    #[serde(default)]
    does: Does,
    /// The user who signs in.
    #[serde(rename = "as")]
    user: Option<String>,
    /// `another`, `closes`, `never` or the user principal name of a connected account.
    picks: Option<String>,
    /// With `is-refused`: the OAuth error and its description.
    error: Option<String>,
    description: Option<String>,
}

#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "kebab-case")]
enum Does {
    #[default]
    SignsIn,
    StrayAnswersThenSignsIn,
    Denies,
    IsRefused,
    NeverAnswers,
    Closes,
    IsAway,
}

impl PersonFile {
    pub(super) fn instruct(&self, person: &ScriptedPerson) {
        let named = |name: &str| User::named(name).expect("a user of the provider");
        let user = named(self.user.as_deref().unwrap_or("dev@contoso.example"));
        person.will(match self.does {
            Does::SignsIn => Conduct::SignsIn(user),
            Does::StrayAnswersThenSignsIn => Conduct::StrayAnswersThenSignsIn(user),
            Does::Denies => Conduct::Denies,
            Does::IsRefused => Conduct::IsRefused(
                self.error.clone().expect("the error"),
                self.description.clone().expect("the description"),
            ),
            Does::NeverAnswers => Conduct::NeverAnswers,
            Does::Closes => Conduct::Closes,
            Does::IsAway => Conduct::IsAway,
        });
        person.will_pick(match self.picks.as_deref() {
            None | Some("another") => Pick::Another,
            Some("closes") => Pick::Closes,
            Some("never") => Pick::Never,
            Some(name) => Pick::Known(named(name)),
        });
    }
}

/// The expected outcome of the request. Absent fields are not compared, except that there must be
/// either an account or an error.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectFile {
    /// The user principal name of the token's account.
    pub(super) account: Option<String>,
    pub(super) source: Option<String>,
    pub(super) scopes: Option<Vec<String>>,
    /// The kind of the error as `Debug` prints it, or how that begins.
    pub(super) error: Option<String>,
    pub(super) code: Option<String>,
    /// Parts of the texts.
    pub(super) message: Option<String>,
    pub(super) hint: Option<String>,
    /// How many token requests the provider got.
    pub(super) token_requests: usize,
    /// How many requests of any kind.
    pub(super) requests: Option<usize>,
    /// Parameters of the visit to the provider; an empty text stands for an absent one.
    pub(super) visit: Option<BTreeMap<String, String>>,
    /// The number of rejected answers.
    pub(super) rejected: Option<usize>,
    /// The accounts that are connected afterwards, also after a restart; sorted.
    pub(super) connected: Vec<String>,
    /// How many records could not be read.
    pub(super) unreadable: Option<usize>,
    /// How many simulated seconds it took.
    pub(super) seconds: Option<u64>,
}

/// An account that is connected before the request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Prior {
    pub(super) user: String,
    /// The provider has ended its sessions.
    #[serde(default)]
    pub(super) revoked: bool,
    /// The engine still has the access token of its sign-in.
    #[serde(default)]
    pub(super) cached: bool,
    /// Its refresh token can no longer be read.
    #[serde(default)]
    pub(super) damaged: bool,
}

/// A rule for some requests.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleFile {
    path: String,
    grant: Option<String>,
    times: Option<usize>,
    answer: Option<Template>,
    fault: Option<StoreFault>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum StoreFault {
    Stall,
    Cut,
    AnswerLost,
    Unreachable,
}

impl RuleFile {
    pub(super) fn rule(&self) -> Rule {
        let action = match (&self.answer, self.fault) {
            (Some(answer), None) => Action::Answer(answer.clone()),
            (None, Some(StoreFault::Stall)) => Action::Stall,
            (None, Some(StoreFault::Cut)) => Action::Cut,
            (None, Some(StoreFault::AnswerLost)) => Action::AnswerLost,
            (None, Some(StoreFault::Unreachable)) => Action::Unreachable,
            _ => panic!("a rule has either an answer or a fault"),
        };
        let times = self.times.unwrap_or(usize::MAX);
        Rule { grant: self.grant.clone(), ..Rule::path(&self.path, action).times(times) }
    }
}

impl Case {
    pub(super) fn read(path: &Path) -> Self {
        let mut case: Self = toml::from_str(&text(&path.join("case.toml")).expect("case.toml"))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        case.store = json(&path.join("store.json"));
        case.http = json(&path.join("http.json"));
        case
    }
}

fn json<T: DeserializeOwned>(path: &Path) -> Vec<T> {
    let read = |text: String| {
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    text(path).map(read).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "the case runner reads case files")]
fn text(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}
