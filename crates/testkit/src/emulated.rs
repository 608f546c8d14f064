//! The engine and the host at an emulated provider: real HTTP over TLS, and a person who signs in.

use std::sync::Arc;

use async_trait::async_trait;
use http::{Request, Response};
use keybearer_core::{AuthorityHost, Error, Result};
use keybearer_emulator::{Client, Laboratory, Person};
use keybearer_engine::{Effects, Engine, EngineSettings, Http, SignInUi};
use keybearer_host::{BrowserLauncher, Environment, Host, Launch, LoopbackUi, SystemRandom};
use keybearer_protocol::Body;
use url::Url;

/// An engine of this process that trusts the emulator, and at whose browser this person sits.
///
/// # Errors
/// If the engine does not open.
pub async fn engine(laboratory: &Laboratory, person: Person) -> Result<Engine> {
    let effects = Host::in_process(&Environment::default()).effects();
    engine_with(laboratory, Effects { sign_in_ui: sign_in_ui(person), ..effects }).await
}

/// An engine with these effects, except that its HTTP trusts the emulator.
///
/// # Errors
/// If the engine does not open.
pub async fn engine_with(laboratory: &Laboratory, effects: Effects) -> Result<Engine> {
    let trusted_authority_hosts = [authority_host(laboratory)?].into();
    let settings = EngineSettings { trusted_authority_hosts, ..EngineSettings::default() };
    Engine::open(Effects { http: http(laboratory), ..effects }, settings).await
}

/// The emulator's authority, for settings that name trusted ones.
///
/// # Errors
/// Never: the emulator's own address is well formed.
pub fn authority_host(laboratory: &Laboratory) -> Result<AuthorityHost> {
    AuthorityHost::parse(&laboratory.ready().authority_host)
}

/// HTTP that trusts the emulator only. The host's own client would read the certificate from
/// `SSL_CERT_FILE`, which belongs to the whole process.
#[must_use]
pub fn http(laboratory: &Laboratory) -> Arc<dyn Http> {
    Arc::new(EmulatedHttp(laboratory.client().clone()))
}

/// The host's sign-in pages, in the browser of this person.
#[must_use]
pub fn sign_in_ui(person: Person) -> Arc<dyn SignInUi> {
    Arc::new(LoopbackUi::new(Arc::new(BrowserOf(person)), Arc::new(SystemRandom)))
}

#[derive(Debug)]
struct EmulatedHttp(Client);

#[async_trait]
impl Http for EmulatedHttp {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>> {
        let (parts, body) = request.into_parts();
        let http = self.0.http();
        let request = http.request(parts.method, parts.uri.to_string()).headers(parts.headers);
        let sent = request.body(body.expose().to_vec()).send().await;
        let reply = sent.map_err(|error| {
            Error::transient(None, "could not reach the emulator").with_source(error)
        })?;
        let (status, headers) = (reply.status(), reply.headers().clone());
        let body = reply.bytes().await.map_err(|error| {
            Error::transient(None, "could not read the emulator's answer").with_source(error)
        })?;
        let mut response = Response::new(Body::new(body.to_vec()));
        (*response.status_mut(), *response.headers_mut()) = (status, headers);
        Ok(response)
    }
}

/// A browser whose person starts to sign in as soon as a page opens.
#[derive(Debug)]
struct BrowserOf(Person);

#[async_trait]
impl BrowserLauncher for BrowserOf {
    fn check(&self) -> Result<()> {
        Ok(())
    }

    async fn open(&self, url: &Url) -> Result<Launch> {
        let (person, url) = (self.0.clone(), url.clone());
        // How the visit ended is seen by the engine that waits for it.
        tokio::spawn(async move { person.visit(url.as_str()).await });
        Ok(Launch::default())
    }
}
