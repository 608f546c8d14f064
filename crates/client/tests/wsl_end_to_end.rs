//! From a credential in WSL to an identity provider and back: each call of the credential is a
//! process of the proxy, which asks Keybearer's engine (in the place of Windows' broker) over its
//! socket, which signs in through its loopback listener at an emulated provider, over TLS.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keybearer_client::{Credential, CredentialOptions, ProxyBroker, TokenQuery};
use keybearer_core::{AuthorityHost, Broker, Result, TokenSource};
use keybearer_dbus::server::serve_socket;
use keybearer_emulator::{Emulator, EmulatorOptions};
use keybearer_engine::{Effects, Engine, EngineSettings, Http};
use keybearer_host::{Environment, Host, Launch, LoopbackPrompter, SystemRandom, UserAgent};
use keybearer_protocol::Body;
use tempfile::TempDir;
use tokio::net::UnixListener;
use url::Url;

const USER: &str = "dev@contoso.example";

/// A browser whose person submits every form as it is: the emulator signs its user in at once.
#[derive(Debug)]
struct Looking(reqwest::Client);

#[async_trait]
impl UserAgent for Looking {
    fn check(&self) -> Result<()> {
        Ok(())
    }

    async fn open(&self, url: &Url) -> Result<Launch> {
        let (browser, url) = (self.0.clone(), url.clone());
        tokio::spawn(async move {
            const MOST_PAGES: usize = 6;
            let mut response = browser.get(url).send().await.unwrap();
            for _ in 0..MOST_PAGES {
                let url = response.url().clone();
                let page = response.text().await.unwrap();
                let Some((action, fields)) = form(&page) else { return };
                let action = url.join(&action).unwrap();
                let origin = url.origin().ascii_serialization();
                let answer = browser.post(action).header("origin", origin).form(&fields);
                response = answer.send().await.unwrap();
            }
        });
        Ok(Launch::default())
    }
}

/// HTTPS that trusts the emulator, whatever the environment of the tests says.
#[derive(Debug)]
struct Trusting(reqwest::Client);

#[async_trait]
impl Http for Trusting {
    async fn send(&self, request: http::Request<Body>) -> Result<http::Response<Body>> {
        let (parts, body) = request.into_parts();
        let request = self.0.request(parts.method, parts.uri.to_string()).headers(parts.headers);
        let response = request.body(body.expose().to_vec()).send().await.unwrap();
        let mut answer = http::Response::new(Body::default());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = response.headers().clone();
        *answer.body_mut() = Body::new(response.bytes().await.unwrap().to_vec());
        Ok(answer)
    }
}

fn form(page: &str) -> Option<(String, Vec<(String, String)>)> {
    let attribute = |element: &str, name: &str| {
        let value = element.split_once(&format!("{name}=\""))?.1.split_once('"')?.0;
        Some(value.replace("&amp;", "&").replace("&#x2F;", "/"))
    };
    let form = page.split_once("<form")?.1.split_once("</form")?.0;
    let field = |input: &str| {
        let element = input.split_once('>')?.0;
        Some((attribute(element, "name")?, attribute(element, "value").unwrap_or_default()))
    };
    let inputs = form.split("<input").skip(1).filter_map(field);
    let button = form.split("<button").nth(1).and_then(field);
    Some((attribute(form, "action")?, inputs.chain(button).collect()))
}

/// What stands for Windows. Everything ends with the test.
struct Windows {
    place: TempDir,
    emulator: Emulator,
}

impl Windows {
    async fn start() -> Self {
        let place = TempDir::new().unwrap();
        let closed = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(place.path(), closed).unwrap();
        let auto_sign_in = Some(USER.to_owned());
        let options = EmulatorOptions { auto_sign_in, ..EmulatorOptions::default() };
        let emulator = Emulator::start(options).unwrap();
        let windows = Self { place, emulator };
        let trusted_authority_hosts = [windows.authority()].into();
        let settings = EngineSettings { trusted_authority_hosts, ..Default::default() };
        let engine = Engine::open(windows.effects(), settings).await.unwrap();
        windows.serve(Arc::new(engine));
        windows
    }

    fn authority(&self) -> AuthorityHost {
        AuthorityHost::parse(self.emulator.ready().authority_host.trim_start_matches("https://"))
            .unwrap()
    }

    fn effects(&self) -> Effects {
        let ca = &self.emulator.ready().ca;
        let certificate = reqwest::Certificate::from_pem(&std::fs::read(ca).unwrap()).unwrap();
        let client = || {
            let client = reqwest::Client::builder().tls_certs_only([certificate.clone()]);
            client.no_proxy()
        };
        let agent = Arc::new(Looking(client().build().unwrap()));
        let prompter = Arc::new(LoopbackPrompter::new(agent, Arc::new(SystemRandom)));
        let without_redirects = client().redirect(reqwest::redirect::Policy::none());
        let http = Arc::new(Trusting(without_redirects.build().unwrap()));
        Effects { prompter, http, ..Host::in_process(&Environment::default()).effects() }
    }

    fn socket(&self) -> PathBuf {
        self.place.path().join("broker.sock")
    }

    fn serve(&self, broker: Arc<dyn Broker>) {
        let listener = UnixListener::bind(self.socket()).unwrap();
        tokio::spawn(async move {
            for number in 1.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve_socket(stream, Arc::clone(&broker), number));
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_in_wsl_signs_in_once_through_windows() {
    let windows = Windows::start().await;
    let program = support::proxy_to(&windows.socket(), &windows.place.path().join("proxy.exe"));
    let options = CredentialOptions {
        authority: Some(windows.emulator.ready().authority_host.clone()),
        timeout: Some(Duration::from_secs(30)),
        ..CredentialOptions::default()
    };
    let scopes = ["https://storage.azure.com/.default"];
    let query = TokenQuery { scopes: &scopes, ..TokenQuery::default() };
    let credential = || {
        let broker = Arc::new(ProxyBroker::new(program.clone()));
        Credential::with_broker(&options, broker).unwrap()
    };
    let first = credential().acquire(query).await.unwrap();
    assert_eq!((first.account.username.as_str(), first.source), (USER, TokenSource::SignIn));
    // Another program, on the same Windows.
    let second = credential().acquire(query).await.unwrap();
    assert_eq!(second.source, TokenSource::Cache);
    assert!(second.access_token.same_as(&first.access_token));
}
