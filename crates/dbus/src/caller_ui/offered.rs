use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use keybearer_core::{CallerUi, CorrelationId, Error, Result};
use tokio::sync::watch;
use zbus::connection::Builder;
use zbus::message::Header;
use zbus::names::UniqueName;
use zbus::{Connection, interface};

use super::{ROOT, object_path};
use crate::message::presenting::{Act, Outcome, encode_outcome};

/// A connection that takes calls from the moment it is there. One that begins to when the first
/// caller_ui is offered may be called before it is ready, and such a call is lost.
pub(crate) fn ready_to_present(builder: Builder<'_>) -> Builder<'_> {
    builder.serve_at(ROOT, Root)
}

struct Root;

/// Has no methods.
#[interface(name = "com.keybearer.Presenters1")]
impl Root {}

/// A caller_ui that the broker may call back, as long as this value lives. What it shows then is
/// taken back.
pub(crate) struct OfferedCallerUi {
    connection: Connection,
    path: String,
    /// Dropped with the value: acts under way end.
    _call: watch::Sender<()>,
}

impl OfferedCallerUi {
    /// Serves the caller_ui to the broker for one call. On a bus, `broker` is its unique name.
    ///
    /// # Errors
    /// `Internal` if the connection does not serve objects, or another call has that id.
    pub(crate) async fn serve(
        connection: &Connection,
        broker: Option<UniqueName<'static>>,
        call: &CorrelationId,
        caller_ui: Arc<dyn CallerUi>,
    ) -> Result<Self> {
        let path = object_path(call);
        let (ends, ended) = watch::channel(());
        let object = Object { caller_ui, broker, ended };
        match connection.object_server().at(path.as_str(), object).await {
            Ok(None) => Ok(Self { connection: connection.clone(), path, _call: ends }),
            Ok(Some(_)) => Err(Error::internal("two calls have the same correlation id")),
            Err(error) => {
                let message = "could not offer the caller's user interface to the broker";
                Err(Error::internal(message).with_source(error))
            }
        }
    }
}

impl Drop for OfferedCallerUi {
    fn drop(&mut self) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (connection, path) = (self.connection.clone(), std::mem::take(&mut self.path));
            runtime.spawn(async move {
                let _ = connection.object_server().remove::<Object, _>(path).await;
            });
        }
    }
}

struct Object {
    caller_ui: Arc<dyn CallerUi>,
    broker: Option<UniqueName<'static>>,
    ended: watch::Receiver<()>,
}

#[interface(name = "com.keybearer.Presenter1")]
impl Object {
    #[zbus(name = "present")]
    async fn present(&self, json: &str, #[zbus(header)] header: Header<'_>) -> String {
        if self.broker.is_some() && header.sender() != self.broker.as_ref() {
            let refused = Error::cancelled("only the broker may use this interface");
            return String::clone(&encode_outcome(&Err(refused)));
        }
        let mut ended = self.ended.clone();
        let outcome = {
            let act = pin!(self.act(json));
            let gone = pin!(ended.changed());
            match select(act, gone).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right(_) => Err(Error::cancelled("the sign-in has ended")),
            }
        };
        String::clone(&encode_outcome(&outcome))
    }
}

impl Object {
    async fn act(&self, json: &str) -> Result<Outcome> {
        let caller_ui = &self.caller_ui;
        match Act::decode(json)? {
            Act::OpenBrowser(url) => caller_ui.open_browser(&url).await.map(|()| Outcome::Done),
            Act::PointToBrowser => {
                caller_ui.point_to_browser().await;
                Ok(Outcome::Done)
            }
            Act::ChooseAccount(accounts) => {
                caller_ui.choose_account(&accounts).await.map(Outcome::Picked)
            }
            Act::ShowUserCode(code) => {
                caller_ui.show_user_code(&code).await.map(|()| Outcome::Done)
            }
            Act::ShowAddress(address) => {
                caller_ui.show_address(&address).await.map(|()| Outcome::Done)
            }
            Act::Paste { complaint } => {
                caller_ui.paste(complaint.as_deref()).await.map(Outcome::Pasted)
            }
        }
    }
}
