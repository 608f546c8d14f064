//! The engine in this process, for when there is no broker. It remembers nothing on disk: another
//! process of the same person asks again.

use std::collections::BTreeSet;
use std::sync::Arc;

use keybearer_core::{AuthorityHost, Broker, Result};
use keybearer_engine::{Engine, EngineSettings, Http};
use keybearer_host::{Environment, Host, Paths, Settings};
use tokio::sync::OnceCell;

use crate::chain::LocalBrokerOptions;
use crate::per_process::PerProcess;

#[derive(Debug)]
pub(crate) struct InProcess {
    environment: Environment,
    trusted: BTreeSet<AuthorityHost>,
    http: Option<Arc<dyn Http>>,
    engine: PerProcess<OnceCell<Arc<dyn Broker>>>,
}

impl InProcess {
    pub(crate) fn new(environment: Environment, options: &LocalBrokerOptions) -> Self {
        let (trusted, http) = (options.trusted_authority_hosts.clone(), options.http.clone());
        Self { environment, trusted, http, engine: PerProcess::default() }
    }

    /// The engine, made on first use.
    pub(crate) async fn broker(&self) -> Result<Arc<dyn Broker>> {
        let engine = self.engine.get();
        engine.get_or_try_init(|| self.open()).await.cloned()
    }

    /// The engine, if it has been used.
    pub(crate) fn opened(&self) -> Option<Arc<dyn Broker>> {
        self.engine.get().get().cloned()
    }

    async fn open(&self) -> Result<Arc<dyn Broker>> {
        let paths = Paths::current(&self.environment)?;
        let settings = Settings::load(&paths.config_file, &self.environment)?;
        let loopback_port = settings.loopback_port;
        let mut trusted_authority_hosts = self.trusted.clone();
        trusted_authority_hosts.extend(settings.trusted_authority_hosts);
        let mut effects = Host::in_process(&self.environment).effects();
        if let Some(http) = &self.http {
            effects.http = Arc::clone(http);
        }
        let engine =
            Engine::open(effects, EngineSettings { trusted_authority_hosts, loopback_port })
                .await?;
        Ok(Arc::new(engine))
    }
}
