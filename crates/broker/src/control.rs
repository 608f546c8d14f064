use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keybearer_core::{Error, Missing, Result};
use keybearer_dbus::client::BrokerProxy;
use tokio::time::timeout;
use zbus::interface;

use crate::service::Service;
use crate::status::Status;
use crate::stop::StopReason;

/// Where the object is that tells about the broker process itself. It is served on the socket
/// only, so programs of this user alone can call it.
pub(crate) const CONTROL_PATH: &str = "/com/keybearer/broker1";
const INTERFACE: &str = "com.keybearer.Broker1";

/// The server's side.
#[derive(Debug)]
pub(crate) struct Control(Arc<Service>);

impl Control {
    pub(crate) const fn new(service: Arc<Service>) -> Self {
        Self(service)
    }
}

#[interface(name = "com.keybearer.Broker1")]
impl Control {
    /// A [`Status`] as JSON.
    fn status(&self) -> zbus::fdo::Result<String> {
        serde_json::to_string(&self.0.status())
            .map_err(|error| zbus::fdo::Error::Failed(error.to_string()))
    }

    /// Ends the broker once the calls under way are answered, or five seconds have passed.
    fn stop(&self) {
        self.0.stop.now(StopReason::Asked);
    }

    /// The same, once no sign-in waits for a person. New calls are served until then.
    async fn stop_after_sign_ins(&self) {
        self.0.sign_ins.quiet().await;
        self.0.stop.now(StopReason::Asked);
    }
}

/// What becomes of a sign-in that waits for a person when a broker is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum SignIns {
    /// It has five seconds.
    CutOff,
    /// The broker serves until it has ended.
    AwaitEnd,
}

/// The client's side: asks a running broker about itself, and ends it.
#[derive(Clone, Debug)]
pub struct BrokerControl(BrokerProxy);

impl BrokerControl {
    /// Connects to the broker that listens at `socket`, and starts none.
    ///
    /// # Errors
    /// `Unavailable(Broker)`, saying why.
    pub async fn connect(socket: &Path, limit: Duration) -> Result<Self> {
        BrokerProxy::connect_socket(socket, limit).await.map(Self)
    }

    /// What the broker says about itself.
    ///
    /// # Errors
    /// `TimedOut` after `limit`; `Protocol` if it says something else, as a much older or newer
    /// broker may.
    pub async fn status(&self, limit: Duration) -> Result<Status> {
        let reply = self.call("Status", limit).await?;
        let json: String = reply.body().deserialize().map_err(|error| {
            Error::protocol("the broker's status as text", "something else").with_source(error)
        })?;
        serde_json::from_str(&json).map_err(|error| {
            Error::protocol("the broker's status", "something else").with_source(error)
        })
    }

    /// Ends the broker, and waits until it has left the socket.
    ///
    /// # Errors
    /// `TimedOut` if it has not after `limit`; then it still will.
    pub async fn stop(&self, sign_ins: SignIns, limit: Duration) -> Result<()> {
        let method = match sign_ins {
            SignIns::CutOff => "Stop",
            SignIns::AwaitEnd => "StopAfterSignIns",
        };
        let ended = async {
            self.call(method, limit).await?;
            self.0.connection().closed().await;
            Ok(())
        };
        let late = || Error::timed_out("wait for the broker to end");
        timeout(limit, ended).await.unwrap_or_else(|_| Err(late()))
    }

    async fn call(&self, method: &'static str, limit: Duration) -> Result<zbus::Message> {
        let connection = self.0.connection();
        let call = connection.call_method(None::<&str>, CONTROL_PATH, Some(INTERFACE), method, &());
        timeout(limit, call)
            .await
            .map_err(|_| Error::timed_out("the broker did not answer"))?
            .map_err(|error| {
                Error::unavailable(Missing::Broker, "ask the broker about itself")
                    .with_source(error)
            })
    }
}
