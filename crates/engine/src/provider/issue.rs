//! From what the token endpoint answered to a token: whose it is, how long it lasts.

use std::time::Duration;

use keybearer_core::{
    Account, Authority, ClientId, CorrelationId, HomeAccountId, Result, ScopeSet, Timestamp, Token,
    TokenSource,
};
use keybearer_protocol::id_token::{self, Expectation, IdTokenClaims, Invalid};
use keybearer_protocol::metadata::ProviderMetadata;
use keybearer_protocol::token::TokenResponse;

use crate::engine::EngineState;

/// A clock that differs from the provider's by more than this is not used to judge id tokens.
const TOLERATED_SKEW: Duration = Duration::from_secs(300);

/// The request an answer belongs to.
pub(crate) struct RequestContext<'a> {
    pub(crate) authority: &'a Authority,
    pub(crate) metadata: &'a ProviderMetadata,
    pub(crate) client_id: &'a ClientId,
    pub(crate) scopes: &'a ScopeSet,
    /// Of the authorization request; a refresh has none.
    pub(crate) nonce: Option<&'a str>,
    pub(crate) correlation_id: &'a CorrelationId,
}

/// What a sign-in needs to become a token.
pub(crate) struct Issued<'a> {
    pub(crate) asked: &'a RequestContext<'a>,
    pub(crate) response: &'a TokenResponse,
    pub(crate) source: TokenSource,
}

impl EngineState {
    /// Whose token this is, as the validated id token and the client info say.
    pub(crate) async fn identify(
        &self,
        asked: &RequestContext<'_>,
        response: &TokenResponse,
    ) -> Result<Option<Account>> {
        let Some(claims) = self.validate(asked, response).await? else { return Ok(None) };
        let home_account_id = match &response.client_info {
            Some(info) => info.home_account_id()?,
            None => HomeAccountId::from_parts(&claims.oid, claims.tid.as_str())?,
        };
        Ok(Some(Account {
            home_account_id,
            environment: asked.authority.host().environment().to_owned(),
            local_account_id: claims.oid.clone(),
            username: claims.username().to_owned(),
            name: claims.name,
            realm: claims.tid,
        }))
    }

    /// Checks the id token. If its key is missing, the provider may have a new one, or one for this
    /// app alone.
    async fn validate(
        &self,
        asked: &RequestContext<'_>,
        response: &TokenResponse,
    ) -> Result<Option<IdTokenClaims>> {
        let Some(id_token) = &response.id_token else { return Ok(None) };
        let now = self.provider_time(response.date, asked);
        let check = |keys: &_| {
            let expectation = Expectation {
                client_id: asked.client_id,
                metadata: asked.metadata,
                keys,
                nonce: asked.nonce,
                tenant: asked.authority.tenant(),
                now,
            };
            id_token::validate(id_token, &expectation)
        };
        let (metadata, id) = (asked.metadata, asked.correlation_id);
        let known = self.providers.keys(&self.effects, metadata, id).await?;
        match check(&known) {
            Err(Invalid::UnknownKey { .. }) => {}
            result => return Ok(Some(result?)),
        }
        let renewed = self.providers.fetch_keys(&self.effects, metadata, id).await?;
        match check(&renewed) {
            Err(Invalid::UnknownKey { .. }) => {}
            result => return Ok(Some(result?)),
        }
        let own = self.providers.fetch_keys_of_app(&self.effects, metadata, asked.client_id, id);
        Ok(Some(check(&own.await?)?))
    }

    /// The provider's own time if this machine's clock is far off, so that a wrong clock does not
    /// refuse good tokens. The time comes over the same TLS connection as the token.
    fn provider_time(&self, date: Option<Timestamp>, asked: &RequestContext<'_>) -> Timestamp {
        let now = self.effects.clock.now();
        let Some(date) = date else { return now };
        let skew = date.saturating_since(now).max(now.saturating_since(date));
        if skew <= TOLERATED_SKEW {
            return now;
        }
        tracing::warn!(
            correlation_id = %asked.correlation_id,
            seconds = skew.as_secs(),
            "this machine's clock differs from the provider's; set it right"
        );
        date
    }

    /// Builds the token, by this machine's clock.
    pub(crate) fn token(&self, issued: Issued<'_>, account: Account) -> Token {
        let Issued { asked, response, source } = issued;
        let now = self.effects.clock.now();
        let granted = ScopeSet::parse(&response.granted);
        Token {
            access_token: response.access_token.clone(),
            token_type: response.token_type,
            expires_on: now + response.expires_in,
            refresh_on: Some(now + response.refresh_in.unwrap_or(response.expires_in / 2)),
            granted_scopes: granted.unwrap_or_else(|_| asked.scopes.clone()),
            account,
            id_token: response.id_token.clone(),
            source,
        }
    }
}
