//! The engine in this process, for when there is no broker. It remembers nothing on disk, so that
//! another process of the same person asks again; unless it is told to keep what it signs in, on
//! systems where no broker of ours runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use keybearer_core::{AuthorityHost, Broker, Error, Result};
use keybearer_engine::{Effects, Engine, EngineSettings, Http, SignInUi};
use keybearer_host::{Config, Environment, Host, Paths, Settings};
use tokio::sync::OnceCell;

use crate::chain::{LocalBrokerOptions, Persistence};
use crate::per_process::PerProcess;

#[derive(Debug)]
pub(crate) struct InProcess {
    environment: Environment,
    trusted: BTreeSet<AuthorityHost>,
    remember: Persistence,
    http: Option<Arc<dyn Http>>,
    sign_in_ui: Option<Arc<dyn SignInUi>>,
    engine: PerProcess<OnceCell<Opened>>,
}

/// The engine, and what it holds as long as it lives.
#[derive(Debug)]
struct Opened {
    engine: Arc<dyn Broker>,
    #[cfg(not(target_os = "linux"))]
    _store_lock: Option<crate::on_disk::StoreLock>,
}

impl InProcess {
    pub(crate) fn new(environment: Environment, options: &LocalBrokerOptions) -> Self {
        Self {
            environment,
            trusted: options.trusted_authority_hosts.clone(),
            remember: options.remember,
            http: options.http.clone(),
            sign_in_ui: options.sign_in_ui.clone(),
            engine: PerProcess::default(),
        }
    }

    /// The engine, made on first use.
    pub(crate) async fn broker(&self, limit: Duration) -> Result<Arc<dyn Broker>> {
        let engine = self.engine.get();
        let opened = tokio::time::timeout(limit, engine.get_or_try_init(|| self.open())).await;
        let opened = opened.map_err(|_| Error::timed_out("wait for the token store"))??;
        Ok(Arc::clone(&opened.engine))
    }

    /// The engine, if it was made.
    pub(crate) fn opened(&self) -> Option<Arc<dyn Broker>> {
        self.engine.get().get().map(|opened| Arc::clone(&opened.engine))
    }

    /// Whether there is something on disk to be opened.
    pub(crate) fn has_kept(&self) -> bool {
        match self.remember {
            Persistence::InMemory => false,
            #[cfg(not(target_os = "linux"))]
            Persistence::OnDisk => crate::on_disk::has_store(&self.environment),
        }
    }

    async fn open(&self) -> Result<Opened> {
        let paths = Paths::current(&self.environment);
        let settings = match &paths {
            Ok(paths) => Settings::load(&paths.config_file, &self.environment)?,
            // Nobody can have put a file there.
            Err(_) => Settings::resolve(&Config::default(), &self.environment)?,
        };
        let loopback_port = settings.loopback_port;
        let mut trusted_authority_hosts = self.trusted.clone();
        trusted_authority_hosts.extend(settings.trusted_authority_hosts);
        let engine_settings = EngineSettings {
            trusted_authority_hosts,
            family_refresh_tokens: settings.family_refresh_tokens,
            loopback_port,
        };
        #[cfg(not(target_os = "linux"))]
        if self.remember == Persistence::OnDisk {
            let paths = paths?;
            let lock = crate::on_disk::StoreLock::take(&paths).await?;
            let host = crate::on_disk::durable_host(&paths, &self.environment);
            let engine =
                Arc::new(Engine::open(self.chosen(host.effects()), engine_settings).await?);
            return Ok(Opened { engine, _store_lock: Some(lock) });
        }
        let effects = self.chosen(Host::in_process(&self.environment).effects());
        let engine = Arc::new(Engine::open(effects, engine_settings).await?);
        Ok(Opened {
            engine,
            #[cfg(not(target_os = "linux"))]
            _store_lock: None,
        })
    }

    /// The effects, with what the program brought in the place of ours.
    fn chosen(&self, mut effects: Effects) -> Effects {
        if let Some(http) = &self.http {
            effects.http = Arc::clone(http);
        }
        if let Some(sign_in_ui) = &self.sign_in_ui {
            effects.sign_in_ui = Arc::clone(sign_in_ui);
        }
        effects
    }
}
