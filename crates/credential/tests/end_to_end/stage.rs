//! A running emulator, a broker in this process that signs in there, and a person at a browser.

use std::sync::Arc;

use async_trait::async_trait;
use azure_core::http::{ClientOptions, Transport, Url};
use azure_storage_blob::{BlobServiceClient, BlobServiceClientOptions};
use futures_util::TryStreamExt;
use keybearer::{
    Broker, Error, InteractiveBrowserBrokerCredential, InteractiveBrowserBrokerCredentialOptions,
};
use keybearer_core::{AuthorityHost, Result};
use keybearer_emulator::{Emulator, EmulatorOptions};
use keybearer_engine::{Engine, EngineSettings, Http, SignInUi};
use keybearer_host::{BrowserLauncher, Environment, Host, Launch, LoopbackUi, SystemRandom};
use keybearer_protocol::Body;
use reqwest::{Certificate, Client, redirect};
use serde_json::Value;

pub(crate) const STORAGE: &str = "https://storage.azure.com/.default";

pub(crate) struct EmulatedMachine {
    pub(crate) emulator: Emulator,
    pub(crate) http: Client,
    pub(crate) broker: Arc<dyn Broker>,
}

impl EmulatedMachine {
    /// `dev@contoso.example` is at the browser and says yes to everything.
    pub(crate) async fn set() -> Self {
        Self::set_for("dev@contoso.example").await
    }

    pub(crate) async fn set_for(username: &str) -> Self {
        let auto_sign_in = Some(username.to_owned());
        let emulator = Emulator::start(EmulatorOptions { auto_sign_in, ..Default::default() });
        let emulator = emulator.unwrap();
        let http = client(&emulator, redirect::Policy::none());
        let mut effects = Host::in_process(&Environment::default()).effects();
        effects.http = Arc::new(Wire(http.clone()));
        effects.sign_in_ui = sign_in_ui(&emulator);
        let host = AuthorityHost::parse(&emulator.ready().authority_host).unwrap();
        let settings =
            EngineSettings { trusted_authority_hosts: [host].into(), ..Default::default() };
        let broker = Arc::new(Engine::open(effects, settings).await.unwrap());
        Self { emulator, http, broker }
    }

    pub(crate) fn options(&self) -> InteractiveBrowserBrokerCredentialOptions {
        InteractiveBrowserBrokerCredentialOptions {
            authority: Some(self.emulator.ready().authority_host.clone()),
            ..Default::default()
        }
    }

    pub(crate) fn credential(
        &self,
        options: InteractiveBrowserBrokerCredentialOptions,
    ) -> Arc<InteractiveBrowserBrokerCredential> {
        InteractiveBrowserBrokerCredential::with_broker(Arc::clone(&self.broker), Some(options))
            .unwrap()
    }

    pub(crate) fn credential_of(
        &self,
        broker: Arc<dyn Broker>,
    ) -> Arc<InteractiveBrowserBrokerCredential> {
        let options = Some(self.options());
        InteractiveBrowserBrokerCredential::with_broker(broker, options).unwrap()
    }

    /// What an engine reaches the emulator through.
    pub(crate) fn wire(&self) -> Arc<dyn Http> {
        Arc::new(Wire(self.http.clone()))
    }

    /// What a client of the SDK sends its requests with.
    pub(crate) fn client_options(&self) -> ClientOptions {
        let transport = Some(Transport::new(Arc::new(self.http.clone())));
        ClientOptions { transport, ..ClientOptions::default() }
    }

    /// The names of the containers, with a client that gets its tokens from its policies.
    pub(crate) async fn containers(
        &self,
        client_options: ClientOptions,
    ) -> azure_core::Result<Vec<String>> {
        let url = Url::parse(&self.emulator.ready().blob_endpoint).unwrap();
        let options = BlobServiceClientOptions { client_options, ..Default::default() };
        let service = BlobServiceClient::new(url, None, Some(options))?;
        let containers: Vec<_> = service.list_containers(None)?.try_collect().await?;
        Ok(containers.into_iter().filter_map(|container| container.name).collect())
    }

    /// Adds a policy or a fault.
    pub(crate) async fn post(&self, what: &str, body: Value) {
        let url = format!("{}/emulator/{what}", self.emulator.ready().authority_host);
        let reply = self.http.post(url).json(&body).send().await.unwrap();
        assert!(reply.status().is_success(), "{}", reply.text().await.unwrap());
    }

    /// How the requests to the storage account ended.
    pub(crate) async fn blob_outcomes(&self) -> Vec<String> {
        self.outcomes_below("/devstoreaccount1").await
    }

    /// How the requests below a path ended.
    pub(crate) async fn outcomes_below(&self, path: &str) -> Vec<String> {
        let mut requests = self.requests().await;
        requests.retain(|request| request["path"].as_str().unwrap().starts_with(path));
        let outcome = |request: &Value| request["outcome"].as_str().unwrap().to_owned();
        requests.iter().map(outcome).collect()
    }

    pub(crate) async fn requests(&self) -> Vec<Value> {
        let url = format!("{}/emulator/requests", self.emulator.ready().authority_host);
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }
}

/// A person who is at once at the browser.
pub(crate) fn sign_in_ui(emulator: &Emulator) -> Arc<dyn SignInUi> {
    let person = Arc::new(Person(client(emulator, redirect::Policy::default())));
    Arc::new(LoopbackUi::new(person, Arc::new(SystemRandom)))
}

fn client(emulator: &Emulator, redirects: redirect::Policy) -> Client {
    let ca = std::fs::read(&emulator.ready().ca).unwrap();
    let ca = Certificate::from_pem(&ca).unwrap();
    let client = Client::builder().tls_certs_merge([ca]).no_proxy().redirect(redirects);
    client.build().unwrap()
}

/// The engine's requests, over a client that trusts the emulator.
#[derive(Debug)]
struct Wire(Client);

#[async_trait]
impl Http for Wire {
    async fn send(&self, request: http::Request<Body>) -> Result<http::Response<Body>> {
        let (parts, body) = request.into_parts();
        let request = self.0.request(parts.method, parts.uri.to_string()).headers(parts.headers);
        let sent = request.body(body.expose().to_vec()).send().await;
        let failed = |error| Error::transient(None, "send").with_source(error);
        let reply: reqwest::Response = sent.map_err(failed)?;
        let mut answer = http::Response::new(Body::default());
        *answer.status_mut() = reply.status();
        *answer.headers_mut() = reply.headers().clone();
        *answer.body_mut() = Body::new(reply.bytes().await.map_err(failed)?.to_vec());
        Ok(answer)
    }
}

/// Follows redirects and submits each page's form with its first button.
#[derive(Clone, Debug)]
struct Person(Client);

#[async_trait]
impl BrowserLauncher for Person {
    fn check(&self) -> Result<()> {
        Ok(())
    }

    async fn open(&self, url: &Url) -> Result<Launch> {
        let (person, url) = (self.clone(), url.clone());
        tokio::spawn(async move { person.browse(url).await });
        Ok(Launch::default())
    }
}

impl Person {
    async fn browse(&self, url: Url) {
        let mut reply = self.0.get(url).send().await.unwrap();
        for _ in 0..8 {
            let place = reply.url().clone();
            let Some((action, fields)) = form(&reply.text().await.unwrap()) else { return };
            let target = place.join(&action).unwrap();
            reply = self.0.post(target).form(&fields).send().await.unwrap();
        }
    }
}

/// The form of a page: where it goes and what is in it, the first button pressed.
fn form(html: &str) -> Option<(String, Vec<(String, String)>)> {
    let attribute = |tag: &str, name: &str| {
        let value = tag.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?;
        let unescaped = value.replace("&quot;", "\"").replace("&#39;", "'").replace("&lt;", "<");
        Some(unescaped.replace("&gt;", ">").replace("&#x27;", "'").replace("&amp;", "&"))
    };
    let tags = |kind: &str| -> Vec<String> {
        let start = format!("<{kind}");
        let parts = html.split(&start).skip(1);
        parts.filter_map(|part| part.split('>').next()).map(str::to_owned).collect()
    };
    let action = attribute(tags("form").first()?, "action")?;
    let buttons = tags("button").into_iter().take(1);
    let fields = tags("input").into_iter().chain(buttons);
    let fields =
        fields.filter_map(|tag| Some((attribute(&tag, "name")?, attribute(&tag, "value")?)));
    Some((action, fields.collect()))
}
