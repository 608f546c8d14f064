use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use keybearer_core::{
    AZURE_DEVELOPER_APP, Account, AccountChoice, AccountsRequest, Broker, CallerId, CancelRequest,
    ClientId, CorrelationId, Deadline, Error, InteractiveRequest, RemoveAccountRequest, Result,
    SilentRequest, Token, TokenParameters, TokenSource,
};
use keybearer_engine::Clock;
use tokio::sync::Notify;

use super::request::Operation;
use super::{Dictionary, Extension, reply, request};
use crate::Reachable;
use crate::limit::within;

/// The extension as a broker.
#[derive(Debug)]
pub struct ExtensionBroker {
    extension: Arc<dyn Extension>,
    clock: Arc<dyn Clock>,
    /// The sign-ins that are waiting.
    waiting: Mutex<Vec<(CallerId, Arc<Notify>)>>,
}

impl ExtensionBroker {
    /// The extension of this Mac, if it has one that handles work accounts.
    ///
    /// # Errors
    /// `Unavailable(Broker)` if it has none.
    #[cfg(all(target_os = "macos", feature = "macos-sso-extension"))]
    pub fn find() -> Result<Self> {
        let extension = super::extension::SsoExtension;
        extension.check()?;
        Ok(Self::new(Arc::new(extension), Arc::new(keybearer_host::SystemClock)))
    }

    pub(super) fn new(extension: Arc<dyn Extension>, clock: Arc<dyn Clock>) -> Self {
        Self { extension, clock, waiting: Mutex::default() }
    }

    async fn perform(&self, operation: Operation, deadline: Deadline) -> Result<Dictionary> {
        let late = || Error::timed_out("the extension of macOS did not answer");
        within(deadline, late, self.extension.perform(operation)).await
    }

    async fn list(
        &self,
        client_id: &ClientId,
        correlation_id: &CorrelationId,
        deadline: Deadline,
    ) -> Result<Vec<Account>> {
        let operation = request::accounts(client_id, correlation_id);
        reply::accounts(&self.perform(operation, deadline).await?)
    }

    /// The account that is meant; none is ever taken in place of another (invariant I8).
    async fn choose(&self, parameters: &TokenParameters, deadline: Deadline) -> Result<Account> {
        let TokenParameters { client_id, correlation_id, account: choice, .. } = parameters;
        let listed = self.list(client_id, correlation_id, deadline).await?;
        let mut allowed = listed.into_iter().filter(|account| choice.allows(account));
        let first = allowed
            .next()
            .ok_or_else(|| Error::interaction_required("the account is not connected in macOS"))?;
        let same = |other: Account| other.home_account_id == first.home_account_id;
        if *choice == AccountChoice::Only && !allowed.all(same) {
            return Err(Error::interaction_required("several accounts are connected in macOS"));
        }
        Ok(first)
    }

    async fn sign_in(&self, request: InteractiveRequest, deadline: Deadline) -> Result<Token> {
        let InteractiveRequest { parameters, prompt, .. } = request;
        let (account, hint) = match &parameters.account {
            AccountChoice::Exact(_) => (self.choose(&parameters, deadline).await.ok(), None),
            AccountChoice::LoginHint(username) => (None, Some(username.as_str())),
            AccountChoice::Only | AccountChoice::Default => (None, None),
        };
        let operation = request::interactive(&parameters, prompt, account.as_ref(), hint);
        let reply = self.perform(operation, deadline).await?;
        let token = reply::token(&reply, &parameters, TokenSource::SignIn, self.clock.now())?;
        parameters.account.check_sign_in(&token.account)?;
        Ok(token)
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<(CallerId, Arc<Notify>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A sign-in that can be cancelled for as long as this value is there.
struct Waiting<'a> {
    broker: &'a ExtensionBroker,
    cancelled: Arc<Notify>,
}

impl<'a> Waiting<'a> {
    fn begin(broker: &'a ExtensionBroker, caller: CallerId) -> Self {
        let cancelled = Arc::new(Notify::new());
        broker.waiting().push((caller, Arc::clone(&cancelled)));
        Self { broker, cancelled }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.broker.waiting().retain(|(_, other)| !Arc::ptr_eq(other, &self.cancelled));
    }
}

impl Reachable for ExtensionBroker {
    /// macOS starts the extension for each request.
    fn is_closed(&self) -> bool {
        false
    }
}

#[async_trait]
impl Broker for ExtensionBroker {
    fn name(&self) -> &str {
        "macOS single sign-on extension"
    }

    async fn accounts(&self, request: AccountsRequest) -> Result<Vec<Account>> {
        let id = request.correlation_id;
        let client_id =
            request.client_id.map_or_else(|| ClientId::parse(AZURE_DEVELOPER_APP), Ok)?;
        let listed = self.list(&client_id, &id, request.deadline).await;
        listed.map_err(|error| error.with_correlation_id(id))
    }

    async fn acquire_silent(&self, request: SilentRequest) -> Result<Token> {
        let parameters = request.parameters;
        let deadline = parameters.deadline;
        let outcome = async {
            parameters.check_bearer()?;
            let account = self.choose(&parameters, deadline).await?;
            let reply = self.perform(request::silent(&parameters, &account), deadline).await?;
            let token = reply::token(&reply, &parameters, TokenSource::Cache, self.clock.now())?;
            if account.home_account_id == token.account.home_account_id {
                Ok(token)
            } else {
                let (expected, received) = ("a token of the account that was asked for", "another");
                Err(Error::protocol(expected, received))
            }
        };
        let outcome = outcome.await;
        outcome.map_err(|error| error.with_correlation_id(parameters.correlation_id.clone()))
    }

    async fn acquire_interactive(&self, request: InteractiveRequest) -> Result<Token> {
        let (caller, id) =
            (request.parameters.caller.id.clone(), request.parameters.correlation_id.clone());
        let deadline = request.parameters.deadline;
        let waiting = Waiting::begin(self, caller);
        let outcome = tokio::select! {
            outcome = async {
                request.parameters.check_bearer()?;
                self.sign_in(request, deadline).await
            } => outcome,
            () = waiting.cancelled.notified() => Err(Error::cancelled("the sign-in was given up")),
        };
        outcome.map_err(|error| error.with_correlation_id(id))
    }

    async fn remove_account(&self, request: RemoveAccountRequest) -> Result<()> {
        let RemoveAccountRequest { home_account_id, correlation_id, deadline } = request;
        let client_id = ClientId::parse(AZURE_DEVELOPER_APP)?;
        let listed = self.list(&client_id, &correlation_id, deadline).await?;
        let meant = listed.iter().find(|account| account.home_account_id == home_account_id);
        let account = meant.ok_or_else(|| {
            Error::invalid_request("account", "that account is not connected in macOS")
        })?;
        let operation = request::sign_out(&client_id, account, &correlation_id);
        reply::check(&self.perform(operation, deadline).await?)
    }

    async fn cancel(&self, request: CancelRequest) -> Result<()> {
        for (_, cancelled) in self.waiting().iter().filter(|(id, _)| *id == request.caller.id) {
            cancelled.notify_one();
        }
        Ok(())
    }
}
