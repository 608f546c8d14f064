//! Keybearer's engine in front of an emulated provider, over real TLS.

use std::sync::Arc;

use async_trait::async_trait;
use keybearer_core::{AuthorityHost, Result};
use keybearer_emulator::{Emulator, EmulatorOptions};
use keybearer_engine::{Effects, Engine, EngineSettings, Http};
use keybearer_host::{BrowserLauncher, Environment, Host, Launch, LoopbackUi, SystemRandom};
use keybearer_protocol::Body;
use url::Url;

/// A provider that signs this user in at once.
pub(crate) fn signing_in(upn: &str) -> Emulator {
    let auto_sign_in = Some(upn.to_owned());
    Emulator::start(EmulatorOptions { auto_sign_in, ..EmulatorOptions::default() }).unwrap()
}

/// An engine that trusts this provider, and a browser that looks at its pages.
pub(crate) async fn engine(emulator: &Emulator) -> Engine {
    let host = emulator.ready().authority_host.trim_start_matches("https://");
    let trusted_authority_hosts = [AuthorityHost::parse(host).unwrap()].into();
    let settings = EngineSettings { trusted_authority_hosts, ..Default::default() };
    Engine::open(effects(emulator), settings).await.unwrap()
}

fn effects(emulator: &Emulator) -> Effects {
    let agent = Arc::new(Agreeing(client(emulator).build().unwrap()));
    let sign_in_ui = Arc::new(LoopbackUi::new(agent, Arc::new(SystemRandom)));
    let without_redirects = client(emulator).redirect(reqwest::redirect::Policy::none());
    let http = Arc::new(Trusting(without_redirects.build().unwrap()));
    Effects { sign_in_ui, http, ..Host::in_process(&Environment::default()).effects() }
}

/// A client that trusts the provider's certificate.
pub(crate) fn client(emulator: &Emulator) -> reqwest::ClientBuilder {
    let ca = std::fs::read(&emulator.ready().ca).unwrap();
    let certificate = reqwest::Certificate::from_pem(&ca).unwrap();
    reqwest::Client::builder().tls_certs_only([certificate]).no_proxy()
}

/// A browser whose person presses the first button of each page: the provider signs its user in at
/// once.
#[derive(Debug)]
struct Agreeing(reqwest::Client);

#[async_trait]
impl BrowserLauncher for Agreeing {
    fn check(&self) -> Result<()> {
        Ok(())
    }

    async fn open(&self, url: &Url) -> Result<Launch> {
        let (browser, url) = (self.0.clone(), url.clone());
        tokio::spawn(async move {
            let mut reply = browser.get(url).send().await.unwrap();
            for _ in 0..8 {
                let here = reply.url().clone();
                let Some((action, fields)) = form(&reply.text().await.unwrap()) else { return };
                let action = here.join(&action).unwrap();
                let origin = here.origin().ascii_serialization();
                let answer = browser.post(action).header("origin", origin).form(&fields);
                reply = answer.send().await.unwrap();
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

/// Where the form of a page leads, and what it says when its first button is pressed.
fn form(page: &str) -> Option<(String, Vec<(String, String)>)> {
    let attribute = |element: &str, name: &str| {
        let element = element.split_once('>')?.0;
        let value = element.split_once(&format!(" {name}=\""))?.1.split_once('"')?.0;
        Some(value.replace("&amp;", "&").replace("&#x2F;", "/"))
    };
    let form = page.split_once("<form")?.1;
    let button = form.split_once("<button").map_or("", |(_, button)| button);
    let elements = form.split("<input").skip(1).chain([button]);
    let field = |element: &str| Some((attribute(element, "name")?, attribute(element, "value")?));
    Some((attribute(form, "action")?, elements.filter_map(field).collect()))
}
