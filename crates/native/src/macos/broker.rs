use std::sync::Arc;

use async_trait::async_trait;
use keybearer_core::{
    AZURE_DEVELOPER_APP, Account, AccountChoice, AccountsRequest, Broker, CancelRequest, ClientId,
    CorrelationId, Error, InteractiveRequest, PendingRequests, RemoveAccountRequest, Result,
    SilentRequest, Token, TokenParameters, TokenSource,
};
use keybearer_engine::Clock;

use super::{Extension, reply, request};
use crate::{Checked, Reachable};

/// The extension as a broker.
#[derive(Debug)]
pub struct ExtensionBroker {
    extension: Arc<dyn Extension>,
    clock: Arc<dyn Clock>,
    pending: PendingRequests,
}

impl ExtensionBroker {
    /// The extension of this Mac, if it has one that handles work accounts.
    ///
    /// # Errors
    /// `Unavailable(Broker)` if it has none.
    #[cfg(all(target_os = "macos", feature = "macos-sso-extension"))]
    pub fn find() -> Result<Checked<Self>> {
        let extension = super::extension::SsoExtension;
        extension.check()?;
        Ok(Self::new(Arc::new(extension), Arc::new(keybearer_host::SystemClock)))
    }

    pub(super) fn new(extension: Arc<dyn Extension>, clock: Arc<dyn Clock>) -> Checked<Self> {
        Checked::new(Self { extension, clock, pending: PendingRequests::default() })
    }

    async fn list(
        &self,
        client_id: &ClientId,
        correlation_id: &CorrelationId,
    ) -> Result<Vec<Account>> {
        let operation = request::accounts(client_id, correlation_id);
        reply::accounts(&self.extension.perform(operation).await?)
    }

    /// The account that the request names; no other account replaces it (promise I8).
    async fn choose(&self, parameters: &TokenParameters) -> Result<Account> {
        let TokenParameters { client_id, correlation_id, account: choice, .. } = parameters;
        let listed = self.list(client_id, correlation_id).await?;
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

    async fn sign_in(&self, request: InteractiveRequest) -> Result<Token> {
        let InteractiveRequest { parameters, prompt, .. } = request;
        let (account, hint) = match &parameters.account {
            AccountChoice::Exact(_) => (self.choose(&parameters).await.ok(), None),
            AccountChoice::LoginHint(username) => (None, Some(username.as_str())),
            AccountChoice::Only | AccountChoice::Default => (None, None),
        };
        let operation = request::interactive(&parameters, prompt, account.as_ref(), hint);
        let reply = self.extension.perform(operation).await?;
        reply::token(&reply, &parameters, TokenSource::SignIn, self.clock.now())
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
        let client_id =
            request.client_id.map_or_else(|| ClientId::parse(AZURE_DEVELOPER_APP), Ok)?;
        self.list(&client_id, &request.correlation_id).await
    }

    async fn acquire_silent(&self, request: SilentRequest) -> Result<Token> {
        let parameters = request.parameters;
        parameters.check_bearer()?;
        let account = self.choose(&parameters).await?;
        let reply = self.extension.perform(request::silent(&parameters, &account)).await?;
        let token = reply::token(&reply, &parameters, TokenSource::Cache, self.clock.now())?;
        // The choice may allow several accounts, but the operation named one of them.
        if account.home_account_id == token.account.home_account_id {
            Ok(token)
        } else {
            let (expected, received) = ("a token of the account that was asked for", "another");
            Err(Error::protocol(expected, received))
        }
    }

    async fn acquire_interactive(&self, request: InteractiveRequest) -> Result<Token> {
        request.parameters.check_bearer()?;
        let pending = self.pending.register(&request.parameters.caller.id);
        tokio::select! {
            token = self.sign_in(request) => token,
            () = pending.cancelled() => Err(Error::cancelled("the sign-in was cancelled")),
        }
    }

    async fn remove_account(&self, request: RemoveAccountRequest) -> Result<()> {
        let RemoveAccountRequest { home_account_id, correlation_id, .. } = request;
        let client_id = ClientId::parse(AZURE_DEVELOPER_APP)?;
        let listed = self.list(&client_id, &correlation_id).await?;
        let meant = listed.iter().find(|account| account.home_account_id == home_account_id);
        let account = meant.ok_or_else(|| {
            Error::invalid_request("account", "that account is not connected in macOS")
        })?;
        let operation = request::sign_out(&client_id, account, &correlation_id);
        reply::check(&self.extension.perform(operation).await?)
    }

    async fn cancel(&self, request: CancelRequest) -> Result<()> {
        self.pending.cancel(&request.caller.id);
        Ok(())
    }
}
