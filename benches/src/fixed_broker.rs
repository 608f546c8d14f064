use std::time::Duration;

use async_trait::async_trait;
use keybearer_core::{
    AccessToken, Account, AccountsRequest, Broker, CancelRequest, InteractiveRequest,
    RemoveAccountRequest, Result, SilentRequest, Token, TokenSource, TokenType,
};
use keybearer_engine::Clock;
use keybearer_host::SystemClock;
use keybearer_testkit::sample;

use crate::ACCESS_TOKEN_LENGTH;

/// A broker that returns the same token, valid for a day, to every caller.
#[derive(Clone, Copy, Debug, Default)]
pub struct FixedBroker;

#[async_trait]
impl Broker for FixedBroker {
    fn name(&self) -> &str {
        "fixed broker"
    }

    async fn accounts(&self, _request: AccountsRequest) -> Result<Vec<Account>> {
        Ok(vec![sample::account()])
    }

    async fn acquire_silent(&self, request: SilentRequest) -> Result<Token> {
        Ok(Token {
            access_token: AccessToken::new("t".repeat(ACCESS_TOKEN_LENGTH)),
            token_type: TokenType::Bearer,
            expires_on: SystemClock.now() + Duration::from_secs(86_400),
            refresh_on: None,
            granted_scopes: request.parameters.scopes,
            account: sample::account(),
            id_token: None,
            source: TokenSource::Cache,
        })
    }

    async fn acquire_interactive(&self, request: InteractiveRequest) -> Result<Token> {
        self.acquire_silent(SilentRequest { parameters: request.parameters }).await
    }

    async fn remove_account(&self, _request: RemoveAccountRequest) -> Result<()> {
        Ok(())
    }

    async fn cancel(&self, _request: CancelRequest) -> Result<()> {
        Ok(())
    }
}
