//! Turns a token response into a token: whose it is, and how long it lasts.

use std::time::Duration;

use keybearer_core::{
    Account, Authority, ClientId, CorrelationId, HomeAccountId, Result, ScopeSet, Timestamp, Token,
    TokenSource,
};
use keybearer_protocol::id_token::{self, Expectation, IdTokenClaims, Invalid};
use keybearer_protocol::metadata::ProviderMetadata;
use keybearer_protocol::token::TokenResponse;

use crate::provider::providers::Providers;

/// If this machine's clock differs from the provider's by more than this, the provider's clock is
/// used to validate id tokens.
const TOLERATED_SKEW: Duration = Duration::from_secs(300);

/// The request that a token response answers.
pub(crate) struct RequestContext<'a> {
    pub(crate) providers: &'a Providers,
    pub(crate) authority: &'a Authority,
    pub(crate) metadata: &'a ProviderMetadata,
    pub(crate) client_id: &'a ClientId,
    pub(crate) scopes: &'a ScopeSet,
    /// The nonce of the authorization request. Other requests have none.
    pub(crate) nonce: Option<&'a str>,
    pub(crate) correlation_id: &'a CorrelationId,
}

impl RequestContext<'_> {
    /// The account of the token, from the validated id token and the client info. `None` if there
    /// is no id token.
    pub(crate) async fn identify(&self, response: &TokenResponse) -> Result<Option<Account>> {
        let Some(claims) = self.validate(response).await? else { return Ok(None) };
        let home_account_id = match &response.client_info {
            Some(info) => info.home_account_id()?,
            None => HomeAccountId::from_parts(&claims.oid, claims.tid.as_str())?,
        };
        Ok(Some(Account {
            home_account_id,
            environment: self.authority.host().environment().to_owned(),
            local_account_id: claims.oid.clone(),
            username: claims.username().to_owned(),
            name: claims.name,
            realm: claims.tid,
        }))
    }

    /// Validates the id token. If its key is unknown, the provider may have a new key, or one for
    /// this app alone.
    async fn validate(&self, response: &TokenResponse) -> Result<Option<IdTokenClaims>> {
        let Some(id_token) = &response.id_token else { return Ok(None) };
        let now = self.provider_time(response.date);
        let check = |keys: &_| {
            let expectation = Expectation {
                client_id: self.client_id,
                metadata: self.metadata,
                keys,
                nonce: self.nonce,
                tenant: self.authority.tenant(),
                now,
            };
            id_token::validate(id_token, &expectation)
        };
        let (providers, metadata, id) = (self.providers, self.metadata, self.correlation_id);
        let known = providers.keys(metadata, id).await?;
        match check(&known) {
            Err(Invalid::UnknownKey { .. }) => {}
            result => return Ok(Some(result?)),
        }
        let renewed = providers.fetch_keys(metadata, id).await?;
        match check(&renewed) {
            Err(Invalid::UnknownKey { .. }) => {}
            result => return Ok(Some(result?)),
        }
        let own = providers.fetch_keys_of_app(metadata, self.client_id, id);
        Ok(Some(check(&own.await?)?))
    }

    /// The time of the provider if this machine's clock is far off, so that a wrong clock does not
    /// make valid tokens fail. The time came over the same TLS connection as the token.
    fn provider_time(&self, date: Option<Timestamp>) -> Timestamp {
        let now = self.providers.now();
        let Some(date) = date else { return now };
        let skew = date.saturating_since(now).max(now.saturating_since(date));
        if skew <= TOLERATED_SKEW {
            return now;
        }
        tracing::warn!(
            correlation_id = %self.correlation_id,
            seconds = skew.as_secs(),
            "this machine's clock differs from the provider's; correct it"
        );
        date
    }

    /// The token for the caller. Its times are by this machine's clock.
    pub(crate) fn token(
        &self,
        response: &TokenResponse,
        source: TokenSource,
        account: Account,
    ) -> Token {
        let now = self.providers.now();
        let granted = ScopeSet::parse(&response.granted);
        Token {
            access_token: response.access_token.clone(),
            token_type: response.token_type,
            expires_on: now + response.expires_in,
            refresh_on: Some(now + response.refresh_in.unwrap_or(response.expires_in / 2)),
            granted_scopes: granted.unwrap_or_else(|_| self.scopes.clone()),
            account,
            id_token: response.id_token.clone(),
            source,
        }
    }
}
