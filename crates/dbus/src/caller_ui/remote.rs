use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use keybearer_core::{
    Abilities, Account, AccountPick, CallerUi, CorrelationId, Error, PastedAnswer, Result,
    SignInAddress, UserCode,
};
use url::Url;
use zbus::Connection;
use zbus::names::OwnedUniqueName;

use super::{INTERFACE, object_path};
use crate::message::presenting::{Act, Outcome, decode_outcome};

/// The way back to the caller of a method.
#[derive(Clone)]
pub struct CallbackChannel {
    connection: Connection,
    /// Its name on a bus; `None` where the connection has one other end.
    caller: Option<OwnedUniqueName>,
}

impl CallbackChannel {
    pub(crate) const fn new(connection: Connection, caller: Option<OwnedUniqueName>) -> Self {
        Self { connection, caller }
    }

    /// The caller_ui that the caller said it has.
    pub(crate) fn caller_ui(
        &self,
        abilities: Abilities,
        call: &CorrelationId,
    ) -> Arc<dyn CallerUi> {
        Arc::new(RemoteCallerUi { callback: self.clone(), abilities, path: object_path(call) })
    }
}

impl fmt::Debug for CallbackChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackChannel").field("caller", &self.caller).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct RemoteCallerUi {
    callback: CallbackChannel,
    abilities: Abilities,
    path: String,
}

impl RemoteCallerUi {
    async fn ask(&self, act: Act) -> Result<Outcome> {
        let CallbackChannel { connection, caller } = &self.callback;
        let (path, method) = (self.path.as_str(), "present");
        let json = act.encode();
        let called = connection.call_method(caller.as_ref(), path, Some(INTERFACE), method, &json);
        // The caller has disconnected or is not Keybearer: no caller waits for this sign-in.
        let reply = called.await.map_err(|_| {
            Error::cancelled("the program that started the sign-in has disconnected")
        })?;
        let body = reply.body();
        let json: &str = body.deserialize().map_err(|_| {
            Error::protocol(
                "text as the reply of the caller's user interface",
                "another D-Bus type",
            )
        })?;
        decode_outcome(json, &act)
    }
}

#[async_trait]
impl CallerUi for RemoteCallerUi {
    fn abilities(&self) -> Abilities {
        self.abilities.clone()
    }

    async fn open_browser(&self, url: &Url) -> Result<()> {
        self.ask(Act::OpenBrowser(url.clone())).await.map(drop)
    }

    async fn point_to_browser(&self) {
        if let Err(error) = self.ask(Act::PointToBrowser).await {
            tracing::debug!(%error, "could not point the person to the browser");
        }
    }

    async fn choose_account(&self, accounts: &[Account]) -> Result<AccountPick> {
        match self.ask(Act::ChooseAccount(accounts.to_vec())).await? {
            Outcome::Picked(pick) => Ok(pick),
            _ => Err(unexpected()),
        }
    }

    async fn show_user_code(&self, code: &UserCode) -> Result<()> {
        self.ask(Act::ShowUserCode(code.clone())).await.map(drop)
    }

    async fn show_address(&self, address: &SignInAddress) -> Result<()> {
        self.ask(Act::ShowAddress(address.clone())).await.map(drop)
    }

    async fn paste(&self, complaint: Option<&str>) -> Result<PastedAnswer> {
        match self.ask(Act::Paste { complaint: complaint.map(str::to_owned) }).await? {
            Outcome::Pasted(pasted) => Ok(pasted),
            _ => Err(unexpected()),
        }
    }
}

fn unexpected() -> Error {
    Error::protocol("the answer that belongs to the request", "another one")
}
