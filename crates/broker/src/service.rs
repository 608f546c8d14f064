use std::sync::Arc;
use std::time::Duration;

use keybearer_core::{Broker, Result};
use keybearer_engine::{Engine, EngineSettings};
use keybearer_host::{Environment, Host, Paths, Settings};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::activity::Activity;
use crate::doors::Door;
use crate::stop::Stop;
use crate::tracked::Tracked;

/// How long calls under way may take when the broker stops.
const CALLS_GRACE: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The engine with the token store.
#[derive(Debug)]
pub(crate) struct OpenEngine {
    pub(crate) engine: Engine,
    pub(crate) host: Host,
}

/// A broker that serves: the engine, the doors, and what connects them.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) engine: Engine,
    pub(crate) host: Host,
    pub(crate) paths: Paths,
    /// The calls under way at every door.
    pub(crate) activity: Activity,
    /// Those calls that wait for a person.
    pub(crate) sign_ins: Activity,
    pub(crate) doors: Vec<Arc<dyn Door>>,
    pub(crate) stop: Stop,
}

impl OpenEngine {
    /// Opens the token store.
    ///
    /// # Errors
    /// Those of the settings and of [`Engine::open`].
    pub(crate) async fn open(environment: &Environment, paths: &Paths) -> Result<Self> {
        let settings = Settings::load(&paths.config_file, environment)?;
        let host = Host::durable(paths, environment);
        let engine_settings = EngineSettings {
            trusted_authority_hosts: settings.trusted_authority_hosts.into_iter().collect(),
            family_refresh_tokens: settings.family_refresh_tokens,
            loopback_port: settings.loopback_port,
        };
        let engine = Engine::open(host.effects(), engine_settings).await?;
        Ok(Self { engine, host })
    }
}

impl Service {
    pub(crate) fn new(open: OpenEngine, paths: Paths, doors: Vec<Arc<dyn Door>>) -> Self {
        Self {
            engine: open.engine,
            host: open.host,
            paths,
            activity: Activity::new(),
            sign_ins: Activity::new(),
            doors,
            stop: Stop::new(),
        }
    }

    /// The broker for a door: each of its calls counts in each of `activities`.
    pub(crate) fn tracked(&self, activities: Vec<Activity>) -> Arc<dyn Broker> {
        let engine = Arc::new(self.engine.clone());
        Arc::new(Tracked::new(engine, activities, self.sign_ins.clone()))
    }

    /// Lets every door accept clients.
    pub(crate) fn open_doors(self: &Arc<Self>) -> Vec<JoinHandle<()>> {
        let accept = |door: &Arc<dyn Door>| {
            let (door, service) = (Arc::clone(door), Arc::clone(self));
            tokio::spawn(async move { door.accept(service).await })
        };
        self.doors.iter().map(accept).collect()
    }

    /// Waits for the doors to accept no more and for calls under way, both for five seconds at most,
    /// and then disconnects the clients.
    pub(crate) async fn drain(&self, accepting: Vec<JoinHandle<()>>) {
        let quiet = async {
            for door in accepting {
                if let Err(error) = door.await {
                    tracing::error!(%error, "a door of the broker failed");
                }
            }
            self.activity.quiet().await;
            // Renewals in the background have no caller; their results must become durable.
            while self.engine.in_flight() > 0 {
                sleep(POLL_INTERVAL).await;
            }
        };
        if timeout(CALLS_GRACE, quiet).await.is_err() {
            tracing::warn!("calls under way are cut off");
        }
        self.stop.close();
        let close = |door: Arc<dyn Door>| async move { door.close().await };
        let closing: JoinSet<()> = self.doors.iter().cloned().map(close).collect();
        closing.join_all().await;
    }
}
