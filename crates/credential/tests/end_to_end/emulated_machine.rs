//! A laboratory with a broker in this process that signs in there, and clients of the SDK.

use std::sync::Arc;

use azure_core::http::{ClientOptions, Transport, Url};
use azure_storage_blob::{BlobServiceClient, BlobServiceClientOptions};
use futures_util::TryStreamExt;
use keybearer::{
    Broker, InteractiveBrowserBrokerCredential, InteractiveBrowserBrokerCredentialOptions,
};
use keybearer_emulator::Laboratory;
use keybearer_testkit::emulated;
use serde_json::Value;

pub(crate) const STORAGE: &str = "https://storage.azure.com/.default";

pub(crate) struct EmulatedMachine {
    pub(crate) laboratory: Laboratory,
    pub(crate) broker: Arc<dyn Broker>,
}

impl EmulatedMachine {
    /// `dev@contoso.example` is at the browser and accepts everything.
    pub(crate) async fn start() -> Self {
        Self::start_for("dev@contoso.example").await
    }

    pub(crate) async fn start_for(username: &str) -> Self {
        let laboratory = Laboratory::signing_in(username).unwrap();
        let person = laboratory.person(username).unwrap();
        let broker = Arc::new(emulated::engine(&laboratory, person).await.unwrap());
        Self { laboratory, broker }
    }

    pub(crate) fn options(&self) -> InteractiveBrowserBrokerCredentialOptions {
        InteractiveBrowserBrokerCredentialOptions {
            authority: Some(self.laboratory.ready().authority_host.clone()),
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

    /// The transport of a client of the SDK.
    pub(crate) fn client_options(&self) -> ClientOptions {
        let transport = Some(Transport::new(Arc::new(self.laboratory.client().http().clone())));
        ClientOptions { transport, ..ClientOptions::default() }
    }

    /// The names of the containers, with a client that gets its tokens from its policies.
    pub(crate) async fn containers(
        &self,
        client_options: ClientOptions,
    ) -> azure_core::Result<Vec<String>> {
        let url = Url::parse(&self.laboratory.ready().blob_endpoint).unwrap();
        let options = BlobServiceClientOptions { client_options, ..Default::default() };
        let service = BlobServiceClient::new(url, None, Some(options))?;
        let containers: Vec<_> = service.list_containers(None)?.try_collect().await?;
        Ok(containers.into_iter().filter_map(|container| container.name).collect())
    }

    /// Posts to a control endpoint of the emulator.
    pub(crate) async fn control(&self, what: &str, body: Value) {
        self.laboratory.client().control(what, &body).await.unwrap();
    }

    /// How the requests below a path ended.
    pub(crate) async fn outcomes_below(&self, path: &str) -> Vec<String> {
        self.laboratory.client().outcomes_below(path).await.unwrap()
    }

    /// How the requests to the storage account ended.
    pub(crate) async fn blob_outcomes(&self) -> Vec<String> {
        self.outcomes_below("/devstoreaccount1").await
    }
}
