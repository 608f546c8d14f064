#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails at once")]

use std::collections::{HashMap, VecDeque};
use std::future::pending;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use keybearer_core::{Account, Error, Missing, Result};
use keybearer_engine::{AccountPick, SignIn, SignInOutcome, SignInPrompt, SignInUi};
use keybearer_protocol::RedirectParameters;
use url::Url;

use super::{Gate, lock};
use crate::provider::{FakeProvider, User};

/// A scripted person, and the interface that shows them pages.
#[derive(Clone, Debug)]
pub struct ScriptedPerson(Arc<PersonState>);

#[derive(Debug)]
struct PersonState {
    provider: FakeProvider,
    script: Mutex<Script>,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Script {
    conduct: Conduct,
    pick: Pick,
    hold: Option<Gate>,
    taken_port: Option<u16>,
}

/// What the person does on the provider's page.
#[derive(Clone, Debug)]
pub enum Conduct {
    /// Signs in.
    SignsIn(User),
    /// First something else arrives at the redirect URI, such as another program's answer; then the
    /// person signs in.
    StrayAnswersThenSignsIn(User),
    /// Declines.
    Denies,
    /// The provider answers with this OAuth error and description.
    IsRefused(String, String),
    /// Leaves without an answer.
    NeverAnswers,
    /// Closes the window, which is detected.
    Closes,
    /// Cannot be reached: there is no display.
    IsAway,
}

/// What the person does with a list of connected accounts.
#[derive(Clone, Debug)]
pub enum Pick {
    /// Takes this one.
    Known(User),
    /// Chooses to use another account.
    Another,
    /// Closes the window.
    Closes,
    /// Leaves without an answer.
    Never,
}

/// What the person was shown, without secrets.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Seen {
    /// The number of opened sign-ins.
    pub opened: usize,
    /// The redirect URIs of the sign-ins that are shown by other means.
    pub listened: Vec<Url>,
    /// The user names of each list of accounts.
    pub offered: Vec<Vec<String>>,
    /// The parameters of each visit to the provider, without secrets.
    pub visits: Vec<HashMap<String, String>>,
    /// The number of rejected answers.
    pub rejected: usize,
    /// How each sign-in ended.
    pub finished: Vec<SignInOutcome>,
    /// The number of open sign-ins.
    pub open: usize,
}

impl ScriptedPerson {
    /// A person who signs in at this provider as `user`, and picks no known account.
    #[must_use]
    pub fn new(provider: FakeProvider, user: User) -> Self {
        let script = Script {
            conduct: Conduct::SignsIn(user),
            pick: Pick::Another,
            hold: None,
            taken_port: None,
        };
        let seen = Mutex::default();
        Self(Arc::new(PersonState { provider, script: Mutex::new(script), seen }))
    }

    /// Sets what the person does on the provider's page.
    pub fn will(&self, conduct: Conduct) {
        lock(&self.0.script).conduct = conduct;
    }

    /// Sets what the person does with a list of accounts.
    pub fn will_pick(&self, pick: Pick) {
        lock(&self.0.script).pick = pick;
    }

    /// Makes the person wait at the gate before any answer.
    pub fn hold(&self, gate: Option<Gate>) {
        lock(&self.0.script).hold = gate;
    }

    /// What the person was shown so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        lock(&self.0.seen).clone()
    }

    /// Clears what was shown, except for the number of open sign-ins.
    pub fn forget(&self) {
        let mut seen = lock(&self.0.seen);
        *seen = Seen { open: seen.open, ..Seen::default() };
    }

    /// Makes listening at this port fail from now on.
    pub fn take_port(&self, port: u16) {
        lock(&self.0.script).taken_port = Some(port);
    }

    fn window(&self, prompt: &SignInPrompt) -> Box<dyn SignIn> {
        let listening = || Url::parse("http://localhost:49152/").unwrap();
        let redirect_uri = prompt.redirect_uri.clone().unwrap_or_else(listening);
        lock(&self.0.seen).open += 1;
        Box::new(Window { person: self.clone(), redirect_uri, answers: VecDeque::new() })
    }

    async fn pause(&self) {
        let hold = lock(&self.0.script).hold.clone();
        if let Some(gate) = hold {
            gate.pass().await;
        }
    }
}

#[async_trait]
impl SignInUi for ScriptedPerson {
    async fn open(&self, prompt: &SignInPrompt) -> Result<Box<dyn SignIn>> {
        if matches!(lock(&self.0.script).conduct, Conduct::IsAway) {
            let message = "show a page: there is no display";
            return Err(
                Error::unavailable(Missing::UserInterface, message).with_hint("use a device code")
            );
        }
        lock(&self.0.seen).opened += 1;
        Ok(self.window(prompt))
    }

    async fn listen(&self, prompt: &SignInPrompt) -> Result<Box<dyn SignIn>> {
        let port = prompt.redirect_uri.as_ref().and_then(Url::port);
        if port.is_some() && port == lock(&self.0.script).taken_port {
            return Err(Error::unavailable(Missing::UserInterface, "the port is taken"));
        }
        let window = self.window(prompt);
        lock(&self.0.seen).listened.push(window.redirect_uri().clone());
        Ok(window)
    }
}

/// One sign-in.
struct Window {
    person: ScriptedPerson,
    redirect_uri: Url,
    /// Forms that will arrive; they hold secrets.
    answers: VecDeque<String>,
}

impl Window {
    /// What will arrive at the redirect URI because of this visit.
    fn answers_to(&self, url: &Url, conduct: &Conduct) -> VecDeque<String> {
        let provider = &self.person.0.provider;
        match conduct {
            Conduct::SignsIn(user) => [provider.sign_in(url, *user)].into(),
            Conduct::StrayAnswersThenSignsIn(user) => [
                String::new(),
                "code=stolen-code&state=not-the-state".to_owned(),
                "error=access_denied&state=not-the-state".to_owned(),
                "code=stolen-code".to_owned(),
                provider.sign_in(url, *user),
            ]
            .into(),
            Conduct::Denies => {
                [refusal(url, "access_denied", "AADSTS65004: The user declined to consent")].into()
            }
            Conduct::IsRefused(error, description) => [refusal(url, error, description)].into(),
            Conduct::NeverAnswers | Conduct::Closes | Conduct::IsAway => VecDeque::new(),
        }
    }
}

fn refusal(url: &Url, error: &str, description: &str) -> String {
    let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1;
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("error", error).append_pair("error_description", description);
    form.append_pair("state", &state).finish()
}

#[async_trait]
impl SignIn for Window {
    fn redirect_uri(&self) -> &Url {
        &self.redirect_uri
    }

    async fn choose_account(&mut self, accounts: &[Account]) -> Result<AccountPick> {
        let names = accounts.iter().map(|account| account.username.clone()).collect();
        lock(&self.person.0.seen).offered.push(names);
        self.person.pause().await;
        let pick = lock(&self.person.0.script).pick.clone();
        match pick {
            Pick::Known(user) => {
                let known = accounts.iter().find(|account| account.username == user.username);
                Ok(AccountPick::Known(known.unwrap().home_account_id.clone()))
            }
            Pick::Another => Ok(AccountPick::Another),
            Pick::Closes => Err(Error::cancelled("the window was closed")),
            Pick::Never => pending().await,
        }
    }

    async fn visit(&mut self, url: &Url) -> Result<()> {
        const SECRET: [&str; 2] = ["state", "nonce"];
        let shown = |(name, _): &(String, String)| !SECRET.contains(&name.as_str());
        let parameters = url.query_pairs().into_owned().filter(shown).collect();
        lock(&self.person.0.seen).visits.push(parameters);
        let conduct = lock(&self.person.0.script).conduct.clone();
        self.answers = self.answers_to(url, &conduct);
        Ok(())
    }

    async fn answer(&mut self) -> Result<RedirectParameters> {
        self.person.pause().await;
        if let Some(form) = self.answers.pop_front() {
            return Ok(RedirectParameters::parse(form.as_bytes()));
        }
        let conduct = lock(&self.person.0.script).conduct.clone();
        match conduct {
            Conduct::Closes => Err(Error::cancelled("the window was closed")),
            _ => pending().await,
        }
    }

    async fn reject(&mut self) {
        lock(&self.person.0.seen).rejected += 1;
    }

    async fn finish(self: Box<Self>, outcome: SignInOutcome) {
        lock(&self.person.0.seen).finished.push(outcome);
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        lock(&self.person.0.seen).open -= 1;
    }
}
