//! The contract of a broker, kept in front of an extension that is played by the dictionaries it
//! would send; and those dictionaries, as files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keybearer_core::{
    AccessToken, Account, AccountChoice, Authority, Capabilities, Claims, ClientId, Error, Prompt,
    Result, ScopeSet, Timestamp, TokenParameters, TokenSource,
};
use keybearer_engine::Clock;
use keybearer_testkit::contract::{ContractFixture, Party, Situation};
use keybearer_testkit::effects::ManualClock;
use keybearer_testkit::sample;
use serde_json::{Value, json};

use super::broker::ExtensionBroker;
use super::errors::Failure;
use super::request::{self, Interface, Name, Operation};
use super::{Dictionary, Extension, reply};

#[derive(Debug)]
struct Fake {
    accounts: Mutex<Vec<Account>>,
    person: Option<Account>,
}

impl Fake {
    fn in_situation(situation: Situation) -> Self {
        let (accounts, person) = match situation {
            Situation::OneAccount => (vec![sample::account()], None),
            Situation::SignInSucceeds => (Vec::new(), Some(sample::account())),
            Situation::NoAccount | Situation::SignInUnanswered => (Vec::new(), None),
        };
        Self { accounts: Mutex::new(accounts), person }
    }

    fn known(&self, options: &Dictionary) -> Result<Account> {
        let accounts = self.accounts.lock().unwrap();
        let id = options.get("home_account_id");
        let mut named = accounts
            .iter()
            .filter(|account| Some(account.home_account_id.as_str()) == id.map(String::as_str));
        named.next().cloned().ok_or_else(|| {
            Failure { domain: "MSIDErrorDomain".into(), code: -51115, ..Failure::default() }.into()
        })
    }
}

fn dictionary(pairs: &[(&str, &str)]) -> Dictionary {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn token_of(account: &Account, options: &Dictionary) -> Dictionary {
    let claims = json!({
        "name": account.name, "oid": account.local_account_id, "tid": account.realm.as_str(),
        "preferred_username": account.username,
    });
    let id_token = format!("e30.{}.", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let info = keybearer_protocol::client_info::encode(&account.home_account_id);
    dictionary(&[
        ("operation", "login"),
        ("success", "1"),
        ("access_token", "at-1"),
        ("expires_in", "3600"),
        ("expires_on", "0"),
        ("token_type", "Bearer"),
        ("scope", &options["scope"]),
        ("id_token", &id_token),
        ("client_info", &info),
    ])
}

#[async_trait]
impl Extension for Fake {
    async fn perform(&self, operation: Operation) -> Result<Dictionary> {
        let Operation { name, options, interface } = operation;
        match name {
            Name::Login => {
                assert_eq!(interface, Interface::Allowed);
                let Some(person) = &self.person else { return std::future::pending().await };
                self.accounts.lock().unwrap().push(person.clone());
                Ok(token_of(person, &options))
            }
            Name::Refresh => Ok(token_of(&self.known(&options)?, &options)),
            Name::Own("get_accounts_operation") => {
                let accounts = self.accounts.lock().unwrap();
                let listed: Vec<Value> = accounts
                    .iter()
                    .map(|account| {
                        json!({
                            "home_account_id": account.home_account_id.as_str(),
                            "environment": account.environment, "realm": account.realm.as_str(),
                            "local_account_id": account.local_account_id,
                            "username": account.username, "name": account.name,
                        })
                    })
                    .collect();
                let listed = Value::Array(listed).to_string();
                Ok(dictionary(&[
                    ("operation", "get_accounts_operation"),
                    ("success", "1"),
                    ("accounts", &listed),
                ]))
            }
            Name::Own(_) => {
                let account = self.known(&options)?;
                self.accounts.lock().unwrap().retain(|other| *other != account);
                Ok(dictionary(&[("success", "1")]))
            }
        }
    }
}

struct Mac;

#[async_trait]
impl ContractFixture for Mac {
    async fn parties(&self, situation: Situation) -> [Party; 2] {
        let clock = Arc::new(ManualClock::default());
        let broker = Arc::new(ExtensionBroker::new(Arc::new(Fake::in_situation(situation)), clock));
        ["one", "two"].map(|name| Party { broker: broker.clone(), caller: sample::caller(name) })
    }

    fn parameters(&self) -> TokenParameters {
        sample::parameters()
    }

    fn now(&self) -> Timestamp {
        ManualClock::default().now()
    }
}

mod contract {
    use super::Mac;

    keybearer_testkit::contract_tests!(Mac);
    keybearer_testkit::bearer_contract_tests!(Mac);
}

fn cases(folder: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/macos").join(folder);
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let cases: Vec<_> = paths
        .map(|path| {
            let text = std::fs::read(&path).unwrap();
            (path.display().to_string(), serde_json::from_slice(&text).unwrap())
        })
        .collect();
    assert!(!cases.is_empty(), "there should be test data");
    cases
}

fn parameters_of(said: &Value) -> TokenParameters {
    let text = |name: &str| said[name].as_str();
    TokenParameters {
        authority: Authority::parse(text("authority").unwrap()).unwrap(),
        client_id: ClientId::parse("app-1").unwrap(),
        scopes: ScopeSet::parse(&["https://storage.azure.com/.default"]).unwrap(),
        claims: text("claims").and_then(|claims| Claims::parse(claims).unwrap()),
        capabilities: match said["cae"].as_bool() {
            Some(true) => Capabilities::continuous_access_evaluation(),
            _ => Capabilities::default(),
        },
        access_token_to_renew: text("renew").map(|token| AccessToken::new(token.to_owned())),
        extra_query: said["extra"]
            .as_object()
            .map(|extra| {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                extra.iter().map(|(name, value)| (name.clone(), text(value))).collect()
            })
            .unwrap_or_default(),
        account: AccountChoice::Only,
        ..sample::parameters()
    }
}

#[test]
fn requests_are_flat_dictionaries_of_texts() {
    for (path, case) in cases("requests") {
        let said = &case["request"];
        let account = sample::account();
        let operation = match said["operation"].as_str().unwrap() {
            "accounts" => request::accounts(
                &ClientId::parse("app-1").unwrap(),
                &sample::parameters().correlation_id,
            ),
            "sign-out" => request::sign_out(
                &ClientId::parse("app-1").unwrap(),
                &account,
                &sample::parameters().correlation_id,
            ),
            "silent" => request::silent(&parameters_of(said), &account),
            "interactive" => {
                let prompt = Prompt::from_parameter(said["prompt"].as_str().unwrap_or_default());
                request::interactive(&parameters_of(said), prompt, None, said["hint"].as_str())
            }
            other => panic!("{path} names the unknown operation {other}"),
        };
        let mut options = operation.options.clone();
        // They grow with every release.
        assert!(
            options.remove("client_version").is_some()
                && options.remove("client_app_version").is_some()
        );
        let expected: BTreeMap<String, String> =
            serde_json::from_value(case["options"].clone()).unwrap();
        assert_eq!(options, expected, "{path}");
        assert_eq!(format!("{:?}", operation.name), case["name"].as_str().unwrap(), "{path}");
        let shown = format!("{operation:?}");
        assert!(!shown.contains("contoso") && !shown.contains("refused"), "{shown}");
    }
}

#[test]
fn replies_are_read_whatever_is_missing() {
    let parameters = sample::parameters();
    for (path, case) in cases("replies") {
        let dictionary: Dictionary = serde_json::from_value(case["reply"].clone()).unwrap();
        let read = match dictionary.get("accounts") {
            Some(_) => reply::accounts(&dictionary).map(|accounts| {
                json!(accounts.iter().map(|account| account.username.clone()).collect::<Vec<_>>())
            }),
            None => reply::token(&dictionary, &parameters, TokenSource::Cache, sample::now()).map(
                |token| {
                    let expires_in = token.expires_on.unix_millis() - sample::now().unix_millis();
                    json!({
                        "access_token": token.access_token.expose(),
                        "account": token.account.home_account_id.as_str(),
                        "expires_in": expires_in / 1000,
                        "scopes": token.granted_scopes.to_string(),
                        "type": format!("{:?}", token.token_type),
                        "username": token.account.username,
                    })
                },
            ),
        };
        match read {
            Ok(meaning) => assert_eq!(meaning, case["meaning"], "{path}"),
            Err(error) => assert_eq!(json!(error.kind().name()), case["error"], "{path}: {error}"),
        }
    }
}

#[test]
fn errors_are_sorted_by_what_the_caller_does_next() {
    const AS: &str = super::errors::AUTHORIZATION;
    for (domain, code, description, kind, hint) in [
        (AS, 1000, "", "unavailable", ""),
        (AS, 1001, "", "cancelled", ""),
        (AS, 1002, "", "unavailable", ""),
        (AS, 1003, "", "unavailable", ""),
        (AS, 1004, "", "unavailable", ""),
        (AS, 1005, "", "interaction_required", ""),
        ("NSURLErrorDomain", -1009, "", "unavailable", ""),
        ("NSURLErrorDomain", -1001, "", "transient", ""),
        ("MSIDErrorDomain", -51115, "AADSTS50076", "interaction_required", ""),
        ("MSIDOAuthErrorDomain", -51412, "", "interaction_required", ""),
        (
            "MSIDOAuthErrorDomain",
            -51411,
            "AADSTS50011: no",
            "denied",
            "msauth.com.msauth.unsignedapp://auth",
        ),
        ("MSIDErrorDomain", -51118, "", "denied", "msauth.com.msauth.unsignedapp://auth"),
        ("MSIDOAuthErrorDomain", -51416, "", "denied", ""),
        ("MSIDErrorDomain", -51700, "", "cancelled", ""),
        ("MSIDErrorDomain", -51810, "", "unavailable", ""),
        ("MSIDErrorDomain", -51814, "", "unavailable", ""),
        ("MSIDHttpErrorCodeDomain", -51500, "", "transient", ""),
        ("MSIDErrorDomain", -51100, "", "internal", ""),
        ("MSIDOAuthErrorDomain", -51413, "", "invalid_request", ""),
        ("elsewhere", 5, "", "internal", ""),
    ] {
        let suberror = Some("basic_action".to_owned());
        let error: Error = Failure {
            domain: domain.into(),
            code,
            description: description.into(),
            oauth_error: None,
            suberror,
        }
        .into();
        assert_eq!(error.kind().name(), kind, "{domain} {code}: {error}");
        assert!(error.hint().unwrap_or_default().contains(hint), "{domain} {code}: {error}");
        assert!(error.to_string().contains(&code.to_string()), "{error}");
        assert_eq!(
            error.context().code.as_deref(),
            description.split(':').next().filter(|text| !text.is_empty())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_extension_that_never_answers_ends_with_the_callers_limit_inv_i7() {
    #[derive(Debug)]
    struct Silent;
    #[async_trait]
    impl Extension for Silent {
        async fn perform(&self, _: Operation) -> Result<Dictionary> {
            std::future::pending().await
        }
    }
    let clock = Arc::new(ManualClock::default());
    let broker = ExtensionBroker::new(Arc::new(Silent), clock);
    let parameters = TokenParameters {
        deadline: sample::deadline(Duration::from_secs(7)),
        ..sample::parameters()
    };
    let begin = tokio::time::Instant::now();
    let request = keybearer_core::SilentRequest { parameters };
    let error = keybearer_core::Broker::acquire_silent(&broker, request).await.unwrap_err();
    assert_eq!(error.kind().name(), "timed_out");
    assert_eq!(begin.elapsed().as_secs(), 7);
}
