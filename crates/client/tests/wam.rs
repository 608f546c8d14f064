//! Web Account Manager's calls, against a provider of our own that Windows' runtime activates.
//!
//! `cargo xtask test` registers the provider in a Wine prefix made for it and names its directory
//! in `FAKE_WAM_DIR`.
#![cfg(windows)]
#![allow(clippy::unwrap_used, reason = "a test that cannot continue fails")]

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use keybearer_client::{BrokerChoice, LocalBroker, LocalBrokerOptions, ParentWindow, WindowHandle};
use keybearer_core::{
    AccessToken, AccountChoice, Broker, Denial, Error, ErrorKind, InteractiveRequest, Missing,
    Prompt, SilentRequest, Timestamp, Token, TokenParameters,
};
use keybearer_engine::Clock;
use keybearer_host::{Environment, SystemClock};
use keybearer_testkit::contract::{ContractFixture, Party, Situation};
use keybearer_testkit::{bearer_contract_tests, contract_tests, sample};
use serde_json::{Value, json};
use tokio::sync::{Mutex, OwnedMutexGuard};

const WAM_LIMIT: Duration = Duration::from_secs(60);

/// The provider, for one test at a time.
struct WindowsStage {
    dir: PathBuf,
    _turn: OwnedMutexGuard<()>,
}

impl WindowsStage {
    async fn take() -> Self {
        static TURN: LazyLock<Arc<Mutex<()>>> = LazyLock::new(Arc::default);
        let turn = Arc::clone(&TURN).lock_owned().await;
        let dir = std::env::var_os("FAKE_WAM_DIR").expect("the provider's directory is named");
        let stage = Self { dir: dir.into(), _turn: turn };
        stage.play(json!({}));
        stage
    }

    /// Begins a new world.
    fn play(&self, mut script: Value) {
        let now = SystemClock.now().unix_millis();
        script["name"] = json!(format!("{now} {:p} {}", self, std::process::id()));
        std::fs::write(self.dir.join("log.jsonl"), "").unwrap();
        std::fs::write(self.dir.join("script.json"), script.to_string()).unwrap();
    }

    /// What the provider was given since the last script.
    fn calls(&self, call: &str) -> Vec<Value> {
        let log = std::fs::read_to_string(self.dir.join("log.jsonl")).unwrap();
        let entries = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        entries.filter(|entry| entry["call"] == call).collect()
    }

    /// Waits until the provider has none of its objects out any more.
    async fn is_released(&self) {
        let begun = Instant::now();
        let live = || std::fs::read_to_string(self.dir.join("live")).unwrap_or_default();
        while live() != "0" {
            assert!(begun.elapsed() < WAM_LIMIT, "{} objects should not be alive", live());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn account(name: &str) -> Value {
    let own = sample::account();
    let oid = if name == "dev" { own.local_account_id } else { format!("oid-{name}") };
    json!({
        "id": format!("wam-{name}"),
        "user_name": format!("{name}@contoso.example"),
        "properties": { "OID": oid, "TenantId": own.realm.as_str() },
    })
}

fn broker() -> LocalBroker {
    let options = LocalBrokerOptions { choice: BrokerChoice::Required, ..Default::default() };
    LocalBroker::new(Environment::current(), options)
}

#[async_trait]
impl ContractFixture for WindowsStage {
    async fn parties(&self, situation: Situation) -> [Party; 2] {
        self.play(match situation {
            Situation::NoAccount | Situation::SignInUnanswered => json!({}),
            Situation::OneAccount => json!({ "accounts": [account("dev")] }),
            Situation::SignInSucceeds => json!({ "person": account("dev") }),
        });
        ["one", "two"].map(|name| {
            let broker: Arc<dyn Broker> = Arc::new(broker());
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

contract_tests!(WindowsStage::take().await);
bearer_contract_tests!(WindowsStage::take().await);

async fn silent(parameters: TokenParameters) -> Result<Token, Error> {
    broker().acquire_silent(SilentRequest { parameters }).await
}

async fn interactive(parameters: TokenParameters) -> Result<Token, Error> {
    let prompt = Prompt::IfNeeded;
    broker().acquire_interactive(InteractiveRequest::new(parameters, prompt)).await
}

#[tokio::test]
async fn the_provider_is_given_what_was_asked_for() {
    let stage = WindowsStage::take().await;
    stage.play(json!({ "accounts": [account("dev")], "person": account("dev") }));
    let parameters = sample::parameters();
    silent(parameters.clone()).await.unwrap();
    let account = AccountChoice::LoginHint("new@contoso.example".into());
    interactive(TokenParameters { account, ..parameters.clone() }).await.unwrap();
    let (silent, interactive) = (stage.calls("silent").remove(0), stage.calls("interactive"));
    let interactive = interactive.first().unwrap();
    for entry in [&silent, interactive] {
        assert_eq!(entry["client_id"], parameters.client_id.as_str());
        assert_eq!(entry["correlation_id"], parameters.correlation_id.as_str());
        assert_eq!(entry["provider"], "organizations");
        assert_eq!(entry["properties"]["wam_compat"], "2.0");
        assert_eq!(entry["multithreaded"], true, "no thread of ours has to pump messages");
    }
    assert_eq!((&silent["account"], &silent["prompt"]), (&json!("wam-dev"), &json!(0)));
    assert_eq!((&interactive["account"], &interactive["prompt"]), (&Value::Null, &json!(1)));
    assert_eq!(interactive["properties"]["LoginHint"], "new@contoso.example");
    assert!(interactive["window"].as_u64().unwrap() > 0);
    stage.is_released().await;
}

#[tokio::test]
async fn every_answer_has_its_meaning_and_leaves_nothing_behind() {
    let stage = WindowsStage::take().await;
    let error = |code: u32, message: &str| json!({ "error": { "code": code, "message": message } });
    let kinds = [
        (json!("cancel"), ErrorKind::Cancelled),
        (json!("interaction"), ErrorKind::InteractionRequired { claims: None, suberror: None }),
        (error(0xcaa2_0005, "busy"), ErrorKind::Transient { retry_after: None }),
        (error(0xcaa7_0004, ""), ErrorKind::Unavailable(Missing::Network)),
        (error(0xcaa2_0003, "AADSTS50011: no"), ErrorKind::Denied(Denial::Configuration)),
        (error(0xcaa2_0003, "AADSTS65001: no"), ErrorKind::Denied(Denial::Server)),
        (json!({ "fails": { "code": 0x8000_4005_u32 } }), ErrorKind::Internal),
    ];
    for (behaviour, kind) in kinds {
        for call in ["silent", "interactive"] {
            let accounts = json!([account("dev")]);
            stage.play(json!({ "accounts": accounts, call: behaviour }));
            let outcome = match call {
                "silent" => silent(sample::parameters()).await,
                _ => interactive(sample::parameters()).await,
            };
            assert_eq!(*outcome.unwrap_err().kind(), kind, "{call} {behaviour}");
            stage.is_released().await;
        }
    }
    stage.play(json!({ "accounts": [account("dev")], "silent": "garbage" }));
    let error = silent(sample::parameters()).await.unwrap_err();
    assert_eq!(error.kind().name(), "protocol", "{error}");
    stage.is_released().await;
}

#[tokio::test]
async fn somebody_else_who_signs_in_is_a_success() {
    let stage = WindowsStage::take().await;
    stage.play(json!({ "interactive": "switch", "person": account("ops") }));
    let account = AccountChoice::LoginHint("dev@contoso.example".into());
    let token = interactive(TokenParameters { account, ..sample::parameters() }).await.unwrap();
    assert_eq!(token.account.username, "ops@contoso.example");
    stage.is_released().await;
}

#[tokio::test]
async fn an_operation_that_never_completes_ends_in_time_and_is_let_go_of_inv_i7() {
    let stage = WindowsStage::take().await;
    for call in ["silent", "interactive"] {
        stage.play(json!({ "accounts": [account("dev")], call: "never" }));
        // Enough to come as far as the call that never completes.
        let limit = Duration::from_secs(2);
        let parameters =
            TokenParameters { deadline: sample::deadline(limit), ..sample::parameters() };
        let begun = Instant::now();
        let outcome = match call {
            "silent" => silent(parameters).await,
            _ => interactive(parameters).await,
        };
        assert_eq!(*outcome.unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(begun.elapsed() < limit + Duration::from_millis(200), "{:?}", begun.elapsed());
        stage.is_released().await;
        assert_eq!(stage.calls("cancelled").len(), 1, "Windows should be told");
    }
}

#[tokio::test]
async fn a_token_that_was_refused_is_forgotten_and_asked_for_anew() {
    let stage = WindowsStage::take().await;
    stage.play(json!({ "accounts": [account("dev")], "tokens": ["old", "new"] }));
    assert_eq!(silent(sample::parameters()).await.unwrap().access_token.expose(), "old");
    let access_token_to_renew = Some(AccessToken::new("old".into()));
    let parameters = TokenParameters { access_token_to_renew, ..sample::parameters() };
    assert_eq!(silent(parameters).await.unwrap().access_token.expose(), "new");
    assert_eq!(stage.calls("invalidate").len(), 1);
    stage.is_released().await;
}

#[tokio::test]
async fn a_listing_that_is_refused_or_broken_is_told_apart() {
    let stage = WindowsStage::take().await;
    stage.play(json!({ "accounts": [account("dev")], "listing": "refused" }));
    assert_eq!(silent(sample::parameters()).await.unwrap().account.username, "dev@contoso.example");
    stage.play(json!({ "accounts": [account("dev")], "listing": "error" }));
    let error = silent(sample::parameters()).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Denied(Denial::Server), "{error}");
    stage.play(json!({ "no_providers": true }));
    let error = silent(sample::parameters()).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable(Missing::Broker));
    stage.is_released().await;
}

#[tokio::test]
async fn a_window_that_is_none_is_refused_before_anybody_is_asked() {
    let stage = WindowsStage::take().await;
    stage.play(json!({ "person": account("dev") }));
    let options = LocalBrokerOptions {
        choice: BrokerChoice::Required,
        parent_window: ParentWindow::Handle(WindowHandle::from_raw(0x7fff_fff0)),
        ..LocalBrokerOptions::default()
    };
    let broker = LocalBroker::new(Environment::current(), options);
    let (parameters, prompt) = (sample::parameters(), Prompt::IfNeeded);
    let error = broker.acquire_interactive(InteractiveRequest::new(parameters, prompt)).await;
    let expected = ErrorKind::InvalidRequest { field: "parent_window".into() };
    assert_eq!(*error.unwrap_err().kind(), expected);
    assert!(stage.calls("interactive").is_empty());
    stage.is_released().await;
}

#[tokio::test]
async fn the_null_window_is_none_at_all() {
    let stage = WindowsStage::take().await;
    stage.play(json!({ "person": account("dev") }));
    let options = LocalBrokerOptions {
        choice: BrokerChoice::Required,
        parent_window: ParentWindow::Handle(WindowHandle::from_raw(0)),
        ..LocalBrokerOptions::default()
    };
    let broker = LocalBroker::new(Environment::current(), options);
    let (parameters, prompt) = (sample::parameters(), Prompt::IfNeeded);
    broker.acquire_interactive(InteractiveRequest::new(parameters, prompt)).await.unwrap();
    assert!(stage.calls("interactive").remove(0)["window"].as_u64().unwrap() > 0);
    stage.is_released().await;
}

#[tokio::test]
async fn a_call_that_does_not_return_does_not_hold_up_its_caller_inv_i7() {
    let stage = WindowsStage::take().await;
    stage.play(json!({ "accounts": [account("dev")], "silent": "stuck" }));
    let limit = Duration::from_millis(300);
    let begun = Instant::now();
    let parameters = TokenParameters { deadline: sample::deadline(limit), ..sample::parameters() };
    assert_eq!(*silent(parameters).await.unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(begun.elapsed() < limit + Duration::from_millis(200), "{:?}", begun.elapsed());
    stage.is_released().await;
}
