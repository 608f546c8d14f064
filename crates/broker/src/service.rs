use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use keybearer_core::Result;
use keybearer_engine::{Engine, EngineSettings};
use keybearer_host::{Environment, Host, Paths, Settings};
use tokio::time::{sleep, timeout};

use crate::activity::Activity;
use crate::connections::Connections;
use crate::status::BusStatus;
use crate::stop::Stop;

/// How long calls under way may take when the broker is to end.
const LAST_CALLS: Duration = Duration::from_secs(5);
const RECHECK: Duration = Duration::from_millis(20);

/// A broker that serves: the engine and what is known around it.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) engine: Engine,
    pub(crate) host: Host,
    pub(crate) paths: Paths,
    pub(crate) activity: Activity,
    /// The calls among them that wait for a person.
    pub(crate) sign_ins: Activity,
    pub(crate) connections: Connections,
    pub(crate) stop: Stop,
    bus: Mutex<BusStatus>,
}

impl Service {
    /// Opens the token store.
    ///
    /// # Errors
    /// Those of the settings, of [`Engine::open`], and of the runtime directory.
    pub(crate) async fn open(environment: &Environment, paths: Paths) -> Result<Self> {
        let settings = Settings::load(&paths.config_file, environment)?;
        let loopback_port = settings.loopback_port;
        let host = Host::durable(&paths, environment);
        let engine_settings = EngineSettings {
            trusted_authority_hosts: settings.trusted_authority_hosts.into_iter().collect(),
            family_refresh_tokens: settings.family_refresh_tokens,
            loopback_port,
        };
        let engine = Engine::open(host.effects(), engine_settings).await?;
        Ok(Self {
            engine,
            host,
            paths,
            activity: Activity::new(),
            sign_ins: Activity::new(),
            connections: Connections::default(),
            stop: Stop::new(),
            bus: Mutex::new(BusStatus::Connecting),
        })
    }

    /// Lets calls under way end, but not for long, and then ends the connections.
    pub(crate) async fn wind_up(&self) {
        let quiet = async {
            self.activity.quiet().await;
            // Renewals in the background have no caller; what they got is to be durable.
            while self.engine.in_flight() > 0 {
                sleep(RECHECK).await;
            }
        };
        if timeout(LAST_CALLS, quiet).await.is_err() {
            tracing::warn!("calls under way are cut off");
        }
        self.stop.close();
    }

    pub(crate) fn bus_status(&self) -> BusStatus {
        self.bus.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_bus_status(&self, status: BusStatus) {
        *self.bus.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}
