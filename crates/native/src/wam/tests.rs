use std::sync::MutexGuard;
use std::time::Duration;

use keybearer_core::{
    AccessToken, Authority, Caller, CorrelationId, ErrorKind, HomeAccountId, Missing, Timestamp,
};
use keybearer_host::SystemClock;
use keybearer_testkit::contract::{ContractFixture, Party, Situation};
use keybearer_testkit::{bearer_contract_tests, contract_tests, sample};

use super::transport::{PromptType, ProviderError, Request, Response, SystemError, WebAccount};
use super::*;

/// Web Account Manager in memory: it knows accounts, and a person who may sign in.
#[derive(Debug, Default)]
struct WamHarness(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    accounts: Vec<WebAccount>,
    /// The person who signs in when asked; without one, a sign-in stays unanswered.
    person: Option<WebAccount>,
    /// The authority of the account of the Windows session.
    session: Option<&'static str>,
    listing: Telling,
    requests: Vec<Request>,
}

#[derive(Debug, Default)]
enum Telling {
    #[default]
    All,
    Nothing,
    NoProvider,
    NoNetwork,
}

fn web_account(name: &str) -> WebAccount {
    let mut account = WebAccount {
        id: format!("wam-{name}"),
        user_name: format!("{name}@contoso.example"),
        ..WebAccount::default()
    };
    let own = sample::account();
    let oid = if name == "dev" { own.local_account_id } else { format!("oid-{name}") };
    account.properties.insert("OID".into(), oid);
    account.properties.insert("TenantId".into(), own.realm.to_string());
    account
}

impl WamHarness {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn of(accounts: &[&str], person: Option<&str>) -> Arc<Self> {
        let world = Self::default();
        let mut state = world.state();
        state.accounts = accounts.iter().copied().map(web_account).collect();
        state.person = person.map(web_account);
        drop(state);
        Arc::new(world)
    }

    fn broker(self: &Arc<Self>) -> Checked<WamBroker> {
        WamBroker::new(Arc::clone(self) as Arc<dyn Transport>, Arc::new(SystemClock))
    }

    fn sign_in(&self) -> Option<WebAccount> {
        let mut state = self.state();
        let person = state.person.clone()?;
        state.accounts.retain(|account| account.id != person.id);
        state.accounts.insert(0, person.clone());
        Some(person)
    }

    fn answer(&self, account: Option<WebAccount>) -> Answer {
        let Some(account) = account else {
            let error = Some(ProviderError { code: 0xcaa2_000c, message: "ask".into() });
            return Answer { status: 3, error, response: None };
        };
        let seconds = SystemClock.now().unix_seconds() + 11_644_473_600 + 3600;
        let properties = [("TokenExpiresOn".to_owned(), seconds.to_string())].into();
        let token = AccessToken::new(format!("token-of-{}", account.id));
        let response = Some(Response { token, account: Some(account), properties });
        Answer { status: 0, error: None, response }
    }
}

#[async_trait]
impl Transport for WamHarness {
    async fn provider(&self, provider: &Provider) -> Result<Option<String>, SystemError> {
        Ok(match &provider.authority {
            Some(authority) => Some(authority.clone()),
            None => self.state().session.map(str::to_owned),
        })
    }

    async fn accounts(&self, _: &Provider, _: &ClientId) -> Result<Listing, SystemError> {
        let state = self.state();
        Ok(match state.listing {
            Telling::All => Listing::Accounts(state.accounts.clone()),
            Telling::Nothing => Listing::Refused,
            Telling::NoProvider => Listing::NoProvider,
            Telling::NoNetwork => {
                Listing::Failed(ProviderError { code: 0xcaa7_0004, message: String::new() })
            }
        })
    }

    async fn silent(&self, request: &Request) -> Result<Answer, SystemError> {
        let mut state = self.state();
        state.requests.push(request.clone());
        let account = match &request.account_id {
            Some(id) => state.accounts.iter().find(|account| account.id == *id).cloned(),
            None => state.accounts.first().cloned(),
        };
        drop(state);
        Ok(self.answer(account))
    }

    async fn interactive(&self, request: &Request) -> Result<Answer, SystemError> {
        let is_gone = {
            let mut state = self.state();
            state.requests.push(request.clone());
            let is_there = |id: &String| state.accounts.iter().any(|account| account.id == *id);
            !request.account_id.as_ref().is_none_or(is_there)
        };
        if is_gone {
            return Ok(self.answer(None));
        }
        match self.sign_in() {
            Some(person) => Ok(self.answer(Some(person))),
            None => std::future::pending().await,
        }
    }

    async fn sign_out(&self, _: &Provider, id: &str, _: &ClientId) -> Result<bool, SystemError> {
        let mut state = self.state();
        let before = state.accounts.len();
        state.accounts.retain(|account| account.id != id);
        Ok(state.accounts.len() < before)
    }
}

/// Two programs on one Windows.
struct Wam;

#[async_trait]
impl ContractFixture for Wam {
    async fn parties(&self, situation: Situation) -> [Party; 2] {
        let world = match situation {
            Situation::NoAccount | Situation::SignInUnanswered => WamHarness::of(&[], None),
            Situation::OneAccount => WamHarness::of(&["dev"], None),
            Situation::SignInSucceeds => WamHarness::of(&[], Some("dev")),
        };
        ["one", "two"].map(|name| {
            let broker: Arc<dyn Broker> = Arc::new(world.broker());
            Party { broker, caller: sample::caller(name) }
        })
    }

    fn parameters(&self) -> TokenParameters {
        sample::parameters()
    }

    fn now(&self) -> Timestamp {
        SystemClock.now()
    }
}

contract_tests!(Wam);
bearer_contract_tests!(Wam);

fn parameters(tenant: &str, account: AccountChoice) -> TokenParameters {
    let text = format!("https://login.microsoftonline.com/{tenant}");
    TokenParameters { authority: Authority::parse(&text).unwrap(), account, ..sample::parameters() }
}

fn dev() -> HomeAccountId {
    sample::account().home_account_id
}

async fn interactive(
    broker: &Checked<WamBroker>,
    account: AccountChoice,
    prompt: Prompt,
) -> Result<Token> {
    let parameters = parameters("organizations", account);
    broker.acquire_interactive(InteractiveRequest::new(parameters, prompt)).await
}

#[tokio::test]
async fn of_several_accounts_none_is_picked_silently_inv_i8() {
    let world = WamHarness::of(&["dev", "ops"], None);
    let parameters = parameters("organizations", AccountChoice::Only);
    let error = world.broker().acquire_silent(SilentRequest { parameters }).await.unwrap_err();
    assert_eq!(error.kind().name(), "interaction_required");
    assert!(error.hint().is_some() && world.state().requests.is_empty());
}

#[tokio::test]
async fn a_provider_that_does_not_list_may_answer_with_the_account_meant_only_inv_i8() {
    let world = WamHarness::of(&["dev"], None);
    world.state().listing = Telling::Nothing;
    let hint = |name: &str| AccountChoice::LoginHint(format!("{name}@contoso.example"));
    let broker = world.broker();
    let silent = |choice| {
        broker.acquire_silent(SilentRequest { parameters: parameters("organizations", choice) })
    };
    assert_eq!(silent(hint("dev")).await.unwrap().account.home_account_id, dev());
    for choice in [hint("ops"), AccountChoice::Exact(HomeAccountId::parse("x.y").unwrap())] {
        let error = silent(choice).await.unwrap_err();
        assert_eq!(error.kind().name(), "interaction_required");
    }
}

#[tokio::test]
async fn the_account_of_the_windows_session_is_the_default_where_the_authority_allows_it() {
    for (session, tenant, used) in [
        (Some("organizations"), "organizations", true),
        (Some("organizations"), "contoso.example", true),
        (Some("consumers"), "organizations", false),
        (Some("organizations"), "consumers", false),
        (None, "organizations", false),
    ] {
        let world = WamHarness::of(&["dev"], None);
        world.state().session = session;
        let parameters = parameters(tenant, AccountChoice::Default);
        let _ = world.broker().acquire_silent(SilentRequest { parameters }).await;
        let asked = world.state().requests.first().map(|request| request.provider.clone());
        let local = asked.as_ref() == Some(&provider::local());
        assert_eq!(local, used, "{session:?} {tenant} {asked:?}");
    }
}

#[tokio::test]
async fn the_person_is_asked_about_the_account_that_is_meant() {
    let hint = |name: &str| AccountChoice::LoginHint(format!("{name}@contoso.example"));
    let force = PromptType::ForceAuthentication;
    for (choice, prompt, known, kind, login_hint) in [
        (AccountChoice::Only, Prompt::IfNeeded, true, PromptType::Default, None),
        (AccountChoice::Only, Prompt::SelectAccount, false, force, None),
        (AccountChoice::Exact(dev()), Prompt::IfNeeded, true, PromptType::Default, None),
        (AccountChoice::Exact(dev()), Prompt::Login, true, force, None),
        (hint("dev"), Prompt::IfNeeded, true, PromptType::Default, None),
        (hint("new"), Prompt::IfNeeded, false, force, Some("new@contoso.example")),
    ] {
        let world = WamHarness::of(&["dev"], Some("dev"));
        interactive(&world.broker(), choice, prompt).await.unwrap();
        let state = world.state();
        let request = state.requests.last().unwrap();
        assert_eq!(request.account_id.is_some(), known);
        assert_eq!(request.prompt, kind);
        assert_eq!(request.properties.get("LoginHint").map(String::as_str), login_hint);
    }
}

#[tokio::test]
async fn somebody_else_who_signs_in_is_no_answer_to_an_exact_request_inv_i8() {
    let world = WamHarness::of(&[], Some("ops"));
    let exact = interactive(&world.broker(), AccountChoice::Exact(dev()), Prompt::IfNeeded).await;
    assert_eq!(exact.unwrap_err().kind().name(), "interaction_required");
    let hinted = AccountChoice::LoginHint("dev@contoso.example".into());
    let token = interactive(&world.broker(), hinted, Prompt::IfNeeded).await.unwrap();
    assert_eq!(token.account.username, "ops@contoso.example");
}

#[tokio::test]
async fn an_account_that_windows_has_lost_meanwhile_is_signed_in_anew() {
    let world = WamHarness::of(&["dev"], Some("dev"));
    let broker = world.broker();
    silent_token(&broker).await;
    world.state().accounts.clear();
    let token = interactive(&broker, AccountChoice::Exact(dev()), Prompt::IfNeeded).await.unwrap();
    assert_eq!(token.source, TokenSource::SignIn);
    let asked = world.state().requests.pop().unwrap();
    assert_eq!(asked.account_id, None, "the one that is gone cannot be asked about");
}

#[tokio::test]
async fn a_guest_is_found_again_under_the_home_account_its_token_told() {
    let world = WamHarness::of(&["guest"], None);
    let broker = world.broker();
    let info = "eyJ1aWQiOiJob21lLW9pZCIsInV0aWQiOiJob21lLXRpZCJ9";
    let issued =
        Issued { token: silent_token(&broker).await, account_id: Some("wam-guest".to_owned()) };
    let home = keybearer_protocol::client_info::parse(info).unwrap().home_account_id().unwrap();
    let mut issued = issued;
    issued.token.account.home_account_id = home.clone();
    let app = sample::parameters().client_id;
    broker.inner().remember(issued, (Plugin::Work, organizations()), &app);
    let parameters = parameters("organizations", AccountChoice::Exact(home.clone()));
    let _ = broker.acquire_silent(SilentRequest { parameters }).await;
    let asked = world.state().requests.last().unwrap().account_id.clone();
    assert_eq!(asked.as_deref(), Some("wam-guest"));
    let request = AccountsRequest {
        client_id: None,
        correlation_id: CorrelationId::default(),
        deadline: sample::deadline(Duration::from_secs(1)),
    };
    assert_eq!(broker.accounts(request).await.unwrap()[0].home_account_id, home);
}

async fn silent_token(broker: &Checked<WamBroker>) -> Token {
    let parameters = parameters("organizations", AccountChoice::Only);
    broker.acquire_silent(SilentRequest { parameters }).await.unwrap()
}

#[tokio::test]
async fn an_authority_of_no_known_cloud_is_not_asked_for() {
    let world = WamHarness::of(&["dev"], None);
    let authority = Authority::parse("https://localhost:8443/contoso.example").unwrap();
    let parameters = TokenParameters { authority, ..sample::parameters() };
    let error = world.broker().acquire_silent(SilentRequest { parameters }).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::InvalidRequest { field: "authority".into() });
    assert!(world.state().requests.is_empty());
}

#[tokio::test]
async fn a_provider_that_is_not_there_or_offline_says_so() {
    for (listing, missing) in
        [(Telling::NoProvider, Missing::Broker), (Telling::NoNetwork, Missing::Network)]
    {
        let world = WamHarness::of(&["dev"], None);
        world.state().listing = listing;
        let parameters = parameters("organizations", AccountChoice::Only);
        let error = world.broker().acquire_silent(SilentRequest { parameters }).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Unavailable(missing));
    }
}

/// A system without Web Account Manager.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl Transport for Nothing {
    async fn provider(&self, _: &Provider) -> Result<Option<String>, SystemError> {
        Err(absent())
    }

    async fn accounts(&self, _: &Provider, _: &ClientId) -> Result<Listing, SystemError> {
        Err(absent())
    }

    async fn silent(&self, _: &Request) -> Result<Answer, SystemError> {
        Err(absent())
    }

    async fn interactive(&self, _: &Request) -> Result<Answer, SystemError> {
        Err(absent())
    }

    async fn sign_out(&self, _: &Provider, _: &str, _: &ClientId) -> Result<bool, SystemError> {
        Err(absent())
    }
}

fn absent() -> SystemError {
    SystemError { code: 0x8004_0154, message: "class not registered".into() }
}

#[tokio::test]
async fn without_web_account_manager_everything_is_unavailable() {
    let broker = WamBroker::new(Arc::new(Nothing), Arc::new(SystemClock));
    let unavailable = ErrorKind::Unavailable(Missing::Broker);
    assert_eq!(*broker.inner().check().await.unwrap_err().kind(), unavailable);
    for choice in [AccountChoice::Only, AccountChoice::Default] {
        let parameters = parameters("organizations", choice);
        let silent = broker.acquire_silent(SilentRequest { parameters: parameters.clone() }).await;
        assert_eq!(*silent.unwrap_err().kind(), unavailable);
        let request = InteractiveRequest::new(parameters, Prompt::IfNeeded);
        let interactive = broker.acquire_interactive(request).await;
        assert_eq!(*interactive.unwrap_err().kind(), unavailable);
    }
    let caller = Caller::in_process();
    broker.cancel(CancelRequest { caller }).await.unwrap();
}
