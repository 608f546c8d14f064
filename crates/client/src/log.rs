//! What a credential logs: decisions, at level debug, by correlation id. Whom they are about is
//! personal data and named only with support logging; no level shows a secret (promise I5).

use std::time::Instant;

use keybearer_core::{AccountChoice, CorrelationId, Result, Token, TokenParameters};
use keybearer_native::limit::now;

use crate::options::Settings;

/// A request that is under way.
pub(crate) struct Begun {
    what: &'static str,
    correlation_id: CorrelationId,
    at: Instant,
    names: bool,
}

impl Settings {
    /// Notes that a request is made.
    pub(crate) fn begin(&self, what: &'static str, parameters: &TokenParameters) -> Begun {
        let (names, correlation_id) = (self.enable_support_logging, &parameters.correlation_id);
        tracing::debug!(%correlation_id, "requesting a token {what}");
        if names {
            tracing::debug!(
                %correlation_id,
                authority = %parameters.authority.host(),
                tenant = parameters.authority.tenant().as_str(),
                client_id = %parameters.client_id,
                account = account(&parameters.account),
                scopes = ?parameters.scopes.iter().collect::<Vec<_>>(),
                claims = parameters.claims.is_some(),
                timeout = ?parameters.deadline.left(now()),
                "support: the request"
            );
        }
        Begun { what, correlation_id: correlation_id.clone(), at: now(), names }
    }
}

impl Begun {
    /// Notes how it ended.
    pub(crate) fn ended(self, result: Result<Token>) -> Result<Token> {
        let Self { what, correlation_id, at, names } = self;
        let took = now() - at;
        match &result {
            Ok(token) => {
                let source = token.source.as_str();
                tracing::debug!(%correlation_id, ?took, source, "got a token {what}");
                if names {
                    tracing::debug!(
                        %correlation_id,
                        username = token.account.username,
                        home_account_id = %token.account.home_account_id,
                        realm = %token.account.realm,
                        granted = ?token.granted_scopes.iter().collect::<Vec<_>>(),
                        expires_on = ?token.expires_on,
                        refresh_on = ?token.refresh_on,
                        "support: the token"
                    );
                }
            }
            // The server's own words may name the person.
            Err(error) if names => {
                tracing::debug!(%correlation_id, ?took, ?error, "got no token {what}");
            }
            Err(error) => {
                let (kind, code) = (error.kind().name(), error.context().code.as_deref());
                tracing::debug!(%correlation_id, ?took, kind, code, "got no token {what}");
            }
        }
        result
    }
}

fn account(choice: &AccountChoice) -> &str {
    match choice {
        AccountChoice::Only => "the only one",
        AccountChoice::Default => "the one used last",
        AccountChoice::LoginHint(username) => username,
        AccountChoice::Exact(id) => id.as_str(),
    }
}
