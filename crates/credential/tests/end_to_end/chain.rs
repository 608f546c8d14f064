//! A chain of credentials continues after "unavailable" and stops after a refusal.

use std::sync::Arc;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::time::OffsetDateTime;
use keybearer::{
    Broker, BrokerChoice, Denial, Error, ErrorKind, InteractiveBrowserBrokerCredential,
    InteractiveBrowserBrokerCredentialOptions as Options, Missing, credential_error,
};
use keybearer_client::{LocalBroker, LocalBrokerOptions};
use keybearer_host::Environment;
use keybearer_testkit::double::{Answer, ScriptedBroker};

use crate::emulated_machine::STORAGE;

/// A chain like those of the other SDKs: it skips unavailable credentials.
#[derive(Debug)]
struct Chain(Vec<Arc<dyn TokenCredential>>);

#[async_trait]
impl TokenCredential for Chain {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let mut last = None;
        for credential in &self.0 {
            let result = credential.get_token(scopes, options.clone()).await;
            let Err(error) = result else { return result };
            let kind = credential_error(&error).map(Error::kind);
            if !matches!(kind, Some(ErrorKind::Unavailable(_))) {
                return Err(error);
            }
            last = Some(error);
        }
        Err(last.unwrap())
    }
}

/// The credential at the end of the chain.
#[derive(Debug)]
struct Other;

#[async_trait]
impl TokenCredential for Other {
    async fn get_token(
        &self,
        _scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        Ok(AccessToken { token: Secret::new("other"), expires_on: OffsetDateTime::now_utc() })
    }
}

/// The outcome of a chain of this credential, with this broker, and another
/// credential: the text of a token, or the name of the error's kind.
async fn chained(broker: Arc<dyn Broker>, options: Options) -> String {
    let ours = InteractiveBrowserBrokerCredential::with_broker(broker, Some(options)).unwrap();
    match Chain(vec![ours, Arc::new(Other)]).get_token(&[STORAGE], None).await {
        Ok(token) => token.token.secret().to_owned(),
        Err(error) => credential_error(&error).unwrap().kind().name().to_owned(),
    }
}

#[tokio::test]
async fn a_chain_goes_on_from_what_is_not_here_and_stops_at_a_refusal() {
    let denied = |denial| Error::new(ErrorKind::Denied(denial), "no");
    let no_account = || Error::interaction_required("no account is connected");
    let automatic = Options::default;
    let on_demand = || Options { disable_automatic_authentication: true, ..automatic() };
    let never = || Options { disable_interactive_fallback: true, ..automatic() };
    let cases = [
        (automatic(), Error::unavailable(Missing::Broker, "none"), "other"),
        (automatic(), Error::unavailable(Missing::Network, "offline"), "other"),
        (automatic(), Error::unavailable(Missing::UserInterface, "no display"), "other"),
        (never(), no_account(), "other"),
        (on_demand(), no_account(), "interaction_required"),
        (automatic(), denied(Denial::Server), "denied"),
        (automatic(), denied(Denial::Person), "denied"),
        (automatic(), denied(Denial::Configuration), "denied"),
        (automatic(), Error::cancelled("the window was closed"), "cancelled"),
        (automatic(), Error::transient(None, "busy"), "transient"),
    ];
    for (options, answer, expected) in cases {
        let broker = Arc::new(ScriptedBroker::new());
        broker.on_silent(Answer::Now(Err(answer.clone())));
        assert_eq!(chained(broker, options).await, expected, "{answer}");
    }
}

#[tokio::test]
async fn a_chain_goes_on_where_a_broker_is_required_and_cannot_be_and_in_wsl() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let bare = |more: &[(&str, &str)]| {
        let pairs = [("HOME", path), ("XDG_RUNTIME_DIR", path), ("PATH", path)];
        Environment::from_pairs(pairs.iter().chain(more).copied())
    };
    let program = dir.path().join("program");
    std::fs::write(&program, "").unwrap();
    let program = program.to_str().unwrap();
    let nowhere_to_write =
        bare(&[("KEYBEARER_PROGRAM", program), ("XDG_RUNTIME_DIR", "/proc/nowhere")]);
    let cases = [
        (bare(&[]), BrokerChoice::Required),
        (bare(&[("HOME", "")]), BrokerChoice::Required),
        (nowhere_to_write, BrokerChoice::Required),
        (bare(&[("WSL_DISTRO_NAME", "Debian")]), BrokerChoice::Auto),
    ];
    for (environment, choice) in cases {
        let options = LocalBrokerOptions { choice, ..LocalBrokerOptions::default() };
        let broker = Arc::new(LocalBroker::new(environment, options));
        assert_eq!(chained(broker, Options::default()).await, "other", "{choice:?}");
    }
}
