//! The reply of the token endpoint (RFC 6749 §5.1, with Entra's additions).

use serde_json::json;

use super::TokenRequest;
use crate::server::authorize::Agreement;
use crate::server::endpoint_request::EndpointRequest;
use crate::server::entra_error::EntraError;
use crate::server::faults::{Action, WrongPart};
use crate::server::fixture::Resource;
use crate::server::jwt::{AccessGrant, Subject, Validity, client_info, spoil};
use crate::server::keys::Signature;
use crate::server::reply::Reply;
use crate::server::state::EmulatorState;

/// Tokens that may be issued, because every check has passed.
pub(super) struct Issuance<'a> {
    state: &'a EmulatorState,
    received: &'a EndpointRequest,
    agreement: &'a Agreement,
    subject: Subject<'a>,
    resource: &'a Resource,
    foci: bool,
    /// The thumbprint of the key that the access token is bound to.
    key_id: Option<&'a str>,
}

impl<'a> Issuance<'a> {
    /// Checks what may have changed since the sign-in: membership and policies.
    pub(super) fn new(
        state: &'a EmulatorState,
        received: &'a EndpointRequest,
        request: &'a TokenRequest<'a>,
        agreement: &'a Agreement,
    ) -> Result<Self, EntraError> {
        let Agreement { upn, tenant, client_id, scopes, proof, .. } = agreement;
        let name = state.directory.tenant_name(tenant);
        let user = state.directory.user(upn);
        let member = user.and_then(|user| Some((user, user.oid_in(tenant)?)));
        let (user, oid) = member.ok_or_else(|| EntraError::not_a_member(upn, name))?;
        let audience = scopes.audience();
        let resource = state.directory.resource(audience);
        let resource = resource.ok_or_else(|| EntraError::bad_parameter("scope"))?;
        if *proof < crate::server::jwt::Proof::MultiFactor
            && state.requires_mfa(audience, client_id, upn)
        {
            return Err(EntraError::mfa_required(&resource.uri));
        }
        let subject = Subject { user, tenant, oid, client_id, proof: *proof };
        Ok(Self {
            state,
            received,
            agreement,
            subject,
            resource,
            foci: request.app.family,
            key_id: request.key_id.as_deref(),
        })
    }

    /// The expiry of a refresh token issued now, in seconds since 1970.
    pub(super) fn refresh_expiry(&self) -> i64 {
        self.received.now() + self.state.lifetimes.refresh_token_seconds
    }

    /// The reply with new tokens.
    pub(super) fn reply(&self, refresh_token: Option<String>) -> Reply {
        let lifetime = self.state.lifetimes.access_token_seconds;
        let mut body = json!({
            "token_type": if self.key_id.is_some() { "pop" } else { "Bearer" },
            "scope": self.agreement.scopes.reply(self.resource),
            "expires_in": lifetime,
            "ext_expires_in": lifetime,
            "refresh_in": lifetime / 2,
            "access_token": self.access_token(),
        });
        if let Some(refresh_token) = refresh_token {
            body["refresh_token"] = json!(refresh_token);
            if self.foci {
                body["foci"] = json!("1");
            }
        }
        if self.agreement.scopes.openid() {
            body["id_token"] = json!(self.id_token());
        }
        if self.received.form.first("client_info") == Some("1") {
            body["client_info"] = json!(client_info(self.subject.user));
        }
        Reply::json(&body, "token")
    }

    fn access_token(&self) -> String {
        let grant = AccessGrant {
            resource: self.resource,
            audience: self.agreement.scopes.audience(),
            scp: &self.agreement.scopes.granted(self.resource),
            claims: &self.agreement.claims,
            validity: self.validity(),
        };
        let mut claims = self.subject.access_token(&grant, &self.state.authority_host);
        if let Some(key_id) = self.key_id {
            claims["cnf"] = json!({ "kid": key_id });
        }
        self.state.keys.sign(&claims, Signature::Good)
    }

    fn id_token(&self) -> String {
        let nonce = self.agreement.nonce.as_deref();
        let mut claims = self.subject.id_token(&self.state.authority_host, nonce, self.validity());
        let wrong = match &self.received.fault {
            Some(Action::WrongIdToken(part)) => Some(*part),
            _ => None,
        };
        if let Some(part) = wrong {
            spoil(&mut claims, part);
        }
        let signature = match wrong {
            Some(WrongPart::Signature) => Signature::Wrong,
            _ => Signature::Good,
        };
        self.state.keys.sign(&claims, signature)
    }

    fn validity(&self) -> Validity {
        let from = self.received.now();
        Validity { from, until: from + self.state.lifetimes.access_token_seconds }
    }
}
