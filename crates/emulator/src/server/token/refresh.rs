//! Refresh tokens, which rotate at every use.
//!
//! Redeeming a token makes a successor. The token stays redeemable until the successor has been used
//! once, so that a client that crashed before it stored the successor is not signed out. Another use
//! after that is treated as theft and ends the whole family. Entra is more lenient: its old tokens stay
//! valid until they expire.

use std::collections::HashMap;

use super::response::Issuance;
use super::{TokenRequest, required};
use crate::server::authorize::Agreement;
use crate::server::endpoint_request::EndpointRequest;
use crate::server::entra_error::EntraError;
use crate::server::jwt::Proof;
use crate::server::random::{guid, secret};
use crate::server::reply::Reply;
use crate::server::state::EmulatorState;

/// The issued refresh tokens, by value.
#[derive(Default)]
pub(crate) struct RefreshTokens(HashMap<String, RefreshToken>);

/// A refresh token belongs to a user and a client, not to a resource or a tenant.
#[derive(Clone)]
struct RefreshToken {
    upn: String,
    client_id: String,
    /// Whether every app of the family of client ids may redeem it.
    foci: bool,
    proof: Proof,
    /// The agreement at the sign-in; its scopes apply if a request names none.
    agreement: Agreement,
    /// The id that all tokens of one sign-in share.
    family: String,
    predecessor: Option<String>,
    state: State,
    /// Seconds since 1970.
    expires: i64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Live,
    Revoked,
    /// Its successor has been used.
    Superseded,
}

impl RefreshTokens {
    /// Begins a family. Returns its id and its first token.
    pub(crate) fn begin(
        &mut self,
        agreement: &Agreement,
        foci: bool,
        expires: i64,
    ) -> (String, String) {
        let token = RefreshToken {
            upn: agreement.upn.clone(),
            client_id: agreement.client_id.clone(),
            foci,
            proof: agreement.proof,
            agreement: agreement.clone(),
            family: guid(),
            predecessor: None,
            state: State::Live,
            expires,
        };
        (token.family.clone(), self.insert(token))
    }

    pub(crate) fn revoke_family(&mut self, family: &str) {
        self.revoke(|token| token.family == family);
    }

    pub(crate) fn revoke_user(&mut self, upn: &str) {
        self.revoke(|token| token.upn.eq_ignore_ascii_case(upn));
    }

    fn revoke(&mut self, chosen: impl Fn(&RefreshToken) -> bool) {
        for token in self.0.values_mut().filter(|token| chosen(token)) {
            token.state = State::Revoked;
        }
    }

    /// The token, if `client_id` may use it now. A superseded token ends its family.
    fn check(
        &mut self,
        value: &str,
        client: &Client<'_>,
        now: i64,
    ) -> Result<RefreshToken, EntraError> {
        let token = self.0.get(value).cloned().ok_or_else(|| {
            EntraError::invalid_grant(
                9_002_313,
                "Invalid request. Request is malformed or invalid.",
            )
        })?;
        match token.state {
            State::Live => {}
            State::Revoked => {
                return Err(EntraError::invalid_grant(
                    50_173,
                    "The provided grant has expired due to it being revoked, a fresh auth token \
                     is needed. The user might have changed or reset their password.",
                ));
            }
            State::Superseded => {
                self.revoke_family(&token.family);
                return Err(EntraError {
                    suberror: Some("bad_token".into()),
                    ..EntraError::invalid_grant(
                        70_000,
                        "Provided grant is invalid or malformed: the refresh token was used before.",
                    )
                });
            }
        }
        if token.client_id != client.id && !(token.foci && client.foci) {
            return Err(EntraError {
                suberror: Some("client_mismatch".into()),
                ..EntraError::invalid_grant(
                    70_000,
                    "Provided grant is invalid or malformed: the refresh token was issued to \
                     another client.",
                )
            });
        }
        if now >= token.expires {
            return Err(EntraError::invalid_grant(
                700_082,
                "The refresh token has expired due to inactivity.",
            ));
        }
        Ok(token)
    }

    /// Makes the successor, and invalidates the predecessor of the used token.
    fn rotate(
        &mut self,
        value: &str,
        used: RefreshToken,
        client: &Client<'_>,
        expires: i64,
    ) -> String {
        if let Some(predecessor) =
            used.predecessor.as_deref().and_then(|value| self.0.get_mut(value))
        {
            predecessor.state = State::Superseded;
        }
        self.insert(RefreshToken {
            client_id: client.id.to_owned(),
            foci: client.foci,
            predecessor: Some(value.to_owned()),
            expires,
            ..used
        })
    }

    fn insert(&mut self, token: RefreshToken) -> String {
        let value = secret("1.");
        self.0.insert(value.clone(), token);
        value
    }
}

/// The app that redeems a token.
struct Client<'a> {
    id: &'a str,
    foci: bool,
}

pub(super) fn redeem(
    state: &EmulatorState,
    received: &EndpointRequest,
    request: &TokenRequest<'_>,
) -> Result<Reply, EntraError> {
    let value = required(received, "refresh_token")?;
    let client = Client { id: &request.app.client_id, foci: request.app.family };
    let mut tokens = state.refresh_tokens();
    let token = tokens.check(value, &client, received.now())?;
    let agreement = agreement(state, request, &token);
    let issuance = Issuance::new(state, received, request, &agreement)?;
    let next = tokens.rotate(value, token, &client, issuance.refresh_expiry());
    Ok(issuance.reply(Some(next)))
}

/// The agreement for the requested tokens: any resource, and any tenant of which the user is a member.
fn agreement(state: &EmulatorState, request: &TokenRequest<'_>, token: &RefreshToken) -> Agreement {
    let user = state.directory.user(&token.upn);
    let tenant =
        user.map_or(token.agreement.tenant.as_str(), |user| request.authority.tenant_for(user));
    Agreement {
        upn: token.upn.clone(),
        tenant: tenant.to_owned(),
        client_id: request.app.client_id.clone(),
        host: request.host.clone(),
        scopes: request.scopes.clone().unwrap_or_else(|| token.agreement.scopes.clone()),
        claims: request.claims.clone(),
        proof: token.proof,
        nonce: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::claims::Claims;
    use crate::server::scopes::Scopes;

    const APP: Client<'_> = Client { id: "app", foci: false };

    fn agreement(client_id: &str) -> Agreement {
        Agreement {
            upn: "dev@contoso.example".into(),
            tenant: "t".into(),
            client_id: client_id.into(),
            host: None,
            scopes: Scopes::default(),
            claims: Claims::default(),
            proof: Proof::Password,
            nonce: None,
        }
    }

    fn redeem(tokens: &mut RefreshTokens, value: &str) -> Result<String, u32> {
        let used = tokens.check(value, &APP, 0).map_err(|error| error.code)?;
        Ok(tokens.rotate(value, used, &APP, 10))
    }

    #[test]
    fn token_stays_redeemable_until_its_successor_is_used() {
        let mut tokens = RefreshTokens::default();
        let (_, first) = tokens.begin(&agreement("app"), false, 10);
        let lost = redeem(&mut tokens, &first).unwrap();
        let second = redeem(&mut tokens, &first).unwrap();
        assert_ne!(lost, second);
        let third = redeem(&mut tokens, &second).unwrap();
        assert_eq!(redeem(&mut tokens, &first), Err(70_000));
        assert_eq!(redeem(&mut tokens, &third), Err(50_173), "re-use ends the whole family");
        assert_eq!(redeem(&mut tokens, &lost), Err(50_173));
    }

    #[test]
    fn token_serves_its_client_and_the_clients_of_its_family_until_it_expires() {
        let mut tokens = RefreshTokens::default();
        let (_, own) = tokens.begin(&agreement("app"), false, 10);
        let (_, shared) = tokens.begin(&agreement("office"), true, 10);
        let other = Client { id: "other", foci: true };
        let cases = [
            (&own, &APP, 9, Ok(())),
            (&own, &APP, 10, Err(700_082)),
            (&own, &other, 9, Err(70_000)),
            (&shared, &other, 9, Ok(())),
            (&shared, &APP, 9, Err(70_000)),
        ];
        for (value, client, now, expected) in cases {
            let outcome = tokens.check(value, client, now).map(|_| ()).map_err(|error| error.code);
            assert_eq!(outcome, expected);
        }
        assert_eq!(redeem(&mut tokens, "made up"), Err(9_002_313));
    }
}
