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

/// The path of the object for the broker process itself. It is served on the socket only, so only
/// programs of this user can call it.
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
    async fn status(&self) -> zbus::fdo::Result<String> {
        serde_json::to_string(&self.0.status().await)
            .map_err(|error| zbus::fdo::Error::Failed(error.to_string()))
    }

    /// Stops the broker once the calls under way are answered, or after five seconds.
    fn stop(&self) {
        self.0.stop.now(StopReason::Asked);
    }

    /// Stops the broker like `stop`, once no sign-in waits for a person. New calls are served until
    /// then.
    async fn stop_after_sign_ins(&self) {
        self.0.sign_ins.quiet().await;
        self.0.stop.now(StopReason::Asked);
    }
}

/// What happens to a sign-in that waits for a person when the broker is asked to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignIns {
    /// The sign-in has five seconds left.
    CutOff,
    /// The broker serves until the sign-in has ended.
    AwaitEnd,
}

/// The client's side: asks a running broker for its status, and stops it.
#[derive(Clone, Debug)]
pub struct BrokerControl(BrokerProxy);

impl BrokerControl {
    /// Connects to the broker that listens at `socket`, and starts none.
    ///
    /// # Errors
    /// `Unavailable(Broker)` with the reason.
    pub async fn connect(socket: &Path, limit: Duration) -> Result<Self> {
        BrokerProxy::connect_socket(socket, limit).await.map(Self)
    }

    /// The status of the broker.
    ///
    /// # Errors
    /// `TimedOut` after `limit`; `Protocol` if the reply is not a status, as from a much older or
    /// newer broker.
    pub async fn status(&self, limit: Duration) -> Result<Status> {
        let reply = self.call("Status", limit).await?;
        let json: String = reply.body().deserialize().map_err(|error| {
            Error::protocol("the broker's status as text", "something else").with_source(error)
        })?;
        serde_json::from_str(&json).map_err(|error| {
            Error::protocol("the broker's status", "something else").with_source(error)
        })
    }

    /// Stops the broker, and waits until it has left the socket.
    ///
    /// # Errors
    /// `TimedOut` if it has not after `limit`; it then stops later.
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
        let late = || Error::timed_out("timed out waiting for the broker to stop");
        timeout(limit, ended).await.unwrap_or_else(|_| Err(late()))
    }

    async fn call(&self, method: &'static str, limit: Duration) -> Result<zbus::Message> {
        let connection = self.0.connection();
        let call = connection.call_method(None::<&str>, CONTROL_PATH, Some(INTERFACE), method, &());
        timeout(limit, call)
            .await
            .map_err(|_| Error::timed_out("timed out waiting for the broker to answer"))?
            .map_err(|error| {
                Error::unavailable(Missing::Broker, "could not control the broker")
                    .with_source(error)
                    .with_hint("run `keybearer broker run --replace`")
            })
    }
}
