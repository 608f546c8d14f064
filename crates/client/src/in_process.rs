//! The engine in this process, for when there is no broker. It remembers nothing on disk: another
//! process of the same person asks again.

use std::collections::BTreeSet;
use std::sync::Arc;

use keybearer_core::{AuthorityHost, Broker, Result};
use keybearer_engine::{Engine, EngineSettings, Http, Prompter};
use keybearer_host::{Environment, Host, Paths, Settings};
use tokio::sync::OnceCell;

use crate::chain::LocalBrokerOptions;
use crate::per_process::PerProcess;

#[derive(Debug)]
pub(crate) struct InProcess {
    environment: Environment,
    trusted: BTreeSet<AuthorityHost>,
    http: Option<Arc<dyn Http>>,
    prompter: Option<Arc<dyn Prompter>>,
    engine: PerProcess<OnceCell<Arc<dyn Broker>>>,
}

impl InProcess {
    pub(crate) fn new(environment: Environment, options: &LocalBrokerOptions) -> Self {
        Self {
            environment,
            trusted: options.trusted_authority_hosts.clone(),
            http: options.http.clone(),
            prompter: options.prompter.clone(),
            engine: PerProcess::default(),
        }
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
        let mut trusted_authority_hosts = self.trusted.clone();
        trusted_authority_hosts.extend(settings.trusted_authority_hosts);
        let engine_settings = EngineSettings {
            trusted_authority_hosts,
            family_refresh_tokens: settings.family_refresh_tokens,
        };
        let mut effects = Host::in_process(&self.environment).effects();
        if let Some(http) = &self.http {
            effects.http = Arc::clone(http);
        }
        if let Some(prompter) = &self.prompter {
            effects.prompter = Arc::clone(prompter);
        }
        let engine = Engine::open(effects, engine_settings).await?;
        Ok(Arc::new(engine))
    }
}
