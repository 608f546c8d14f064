//! A pending sign-in: what the app requested, and the steps that the person has taken.

use super::request::{AuthorizeRequest, Redirect, RequestedSignIn};
use super::sign_ins::{SignIns, SignedIn};
use crate::server::claims::Claims;
use crate::server::endpoint_request::EndpointRequest;
use crate::server::entra_error::EntraError;
use crate::server::fixture::User;
use crate::server::html::Page;
use crate::server::jwt::{Proof, client_info};
use crate::server::reply::Reply;
use crate::server::scopes::Scopes;
use crate::server::state::EmulatorState;

#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub(crate) requested: RequestedSignIn,
    pub(crate) prompt: Prompt,
    purpose: Purpose,
    login_hint: Option<String>,
    /// The chosen account; it may not exist.
    upn: Option<String>,
    proof: Option<Proof>,
    accepted: bool,
    /// The person chose to use an account that the page does not offer.
    wants_other: bool,
}

/// What receives the result of the sign-in.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    Code(CodeRequest),
    /// A waiting device, by its device code.
    Device(String),
}

/// The parameters of the code flow.
#[derive(Clone, Debug)]
pub(crate) struct CodeRequest {
    pub(crate) redirect: Redirect,
    /// PKCE, S256.
    pub(crate) challenge: String,
    pub(crate) nonce: Option<String>,
    pub(crate) client_info: bool,
}

/// OpenID Connect Core §3.1.2.1 `prompt`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Prompt {
    /// Absent: show only the pages that are needed.
    AsNeeded,
    Consent,
    Login,
    None,
    SelectAccount,
}

/// The next page.
#[derive(Clone, Debug)]
pub(crate) enum Screen {
    Approve(String),
    Consent(String),
    NotAMember(String),
    Password(String),
    PickAccount(Vec<String>),
    Username,
}

pub(crate) enum Step {
    Done(Agreement),
    Show(Screen),
}

/// What a person has agreed to; tokens are issued for it.
#[derive(Clone, Debug)]
pub(crate) struct Agreement {
    pub(crate) upn: String,
    /// The tenant that issues the tokens.
    pub(crate) tenant: String,
    pub(crate) client_id: String,
    /// The app that hosts the client.
    pub(crate) host: Option<String>,
    pub(crate) scopes: Scopes,
    pub(crate) claims: Claims,
    pub(crate) proof: Proof,
    pub(crate) nonce: Option<String>,
}

impl Prompt {
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, EntraError> {
        match text {
            None => Ok(Self::AsNeeded),
            Some("consent" | "admin_consent") => Ok(Self::Consent),
            Some("login") => Ok(Self::Login),
            Some("none") => Ok(Self::None),
            Some("select_account") => Ok(Self::SelectAccount),
            Some(other) => Err(EntraError::invalid_request(
                90_023,
                format!("Unsupported 'prompt' value: '{other}'."),
            )),
        }
    }
}

impl Transaction {
    pub(crate) fn of_code(request: AuthorizeRequest, auto_sign_in: Option<String>) -> Self {
        let AuthorizeRequest { requested, code, prompt, login_hint } = request;
        let transaction = Self::new(requested, Purpose::Code(code), auto_sign_in);
        Self { prompt, login_hint, ..transaction }
    }

    pub(crate) fn of_device(
        requested: RequestedSignIn,
        device_code: String,
        auto_sign_in: Option<String>,
    ) -> Self {
        Self::new(requested, Purpose::Device(device_code), auto_sign_in)
    }

    fn new(requested: RequestedSignIn, purpose: Purpose, auto_sign_in: Option<String>) -> Self {
        Self {
            requested,
            prompt: Prompt::AsNeeded,
            purpose,
            login_hint: None,
            proof: auto_sign_in.is_some().then_some(Proof::MultiFactor),
            accepted: auto_sign_in.is_some(),
            upn: auto_sign_in,
            wants_other: false,
        }
    }

    pub(crate) fn upn(&self) -> Option<&str> {
        self.upn.as_deref()
    }

    pub(crate) fn is_for_device(&self) -> bool {
        matches!(self.purpose, Purpose::Device(_))
    }

    /// Sets the account that the person named; an empty name means another one than those offered.
    pub(crate) fn choose(&mut self, upn: &str, known: &[SignedIn]) {
        self.wants_other = upn.is_empty();
        self.upn = (!upn.is_empty()).then(|| upn.trim().to_owned());
        self.proof = proof_of(known, upn);
    }

    pub(crate) fn prove(&mut self, proof: Proof) {
        self.proof = Some(proof);
    }

    /// Records the extra approval, which counts only after the password. Returns the user.
    pub(crate) fn approve(&mut self) -> Option<String> {
        self.proof = self.proof.map(|_| Proof::MultiFactor);
        self.proof.and_then(|_| self.upn.clone())
    }

    pub(crate) fn accept(&mut self) {
        self.accepted = self.proof.is_some();
    }

    /// The page for the first step that is still missing.
    pub(crate) fn next(
        &mut self,
        state: &EmulatorState,
        known: &[SignedIn],
        sign_ins: &SignIns,
    ) -> Step {
        if self.upn.is_none()
            && let Some(screen) = self.choose_account(known)
        {
            return Step::Show(screen);
        }
        let user = self.upn.as_deref().and_then(|upn| state.directory.user(upn));
        let Some(user) = user else {
            return Step::Show(Screen::Username);
        };
        let upn = user.upn.clone();
        let Some(proof) = self.proof else {
            return Step::Show(Screen::Password(upn));
        };
        let tenant = self.requested.authority.tenant_for(user);
        if user.oid_in(tenant).is_none() {
            return Step::Show(Screen::NotAMember(upn));
        }
        if proof < Proof::MultiFactor && self.needs_mfa(state, &upn) {
            return Step::Show(Screen::Approve(upn));
        }
        if !self.accepted && self.needs_consent(state, sign_ins, &upn) {
            return Step::Show(Screen::Consent(upn));
        }
        Step::Done(self.agreement(user, tenant, proof))
    }

    /// Reports a refusal, by the person or by the emulator, to the app or the device.
    pub(crate) fn refuse(
        self,
        state: &EmulatorState,
        received: &EndpointRequest,
        error: &EntraError,
    ) -> Reply {
        match self.purpose {
            Purpose::Code(code) => code.redirect.refuse(error, &received.trace),
            Purpose::Device(device_code) => {
                state.device_codes().decline(&device_code);
                let page = Page::new("You declined the sign-in").text("You may close this window.");
                Reply::page(&page, &error.name())
            }
        }
    }

    /// Reports the agreement to the app or the device.
    pub(crate) fn finish(
        self,
        state: &EmulatorState,
        received: &EndpointRequest,
        agreement: Agreement,
    ) -> Reply {
        let code = match self.purpose {
            Purpose::Code(code) => code,
            Purpose::Device(device_code) => {
                state.device_codes().approve(&device_code, agreement);
                let page = Page::new("You have signed in")
                    .text("You have signed in on your device. You may close this window.");
                return Reply::page(&page, "approved");
            }
        };
        let client_info = state.directory.user(&agreement.upn).map(client_info);
        let expires = received.now() + state.lifetimes.authorization_code_seconds;
        let value = state.codes().issue(&code, agreement, expires);
        let mut fields = vec![("code", value)];
        if let Some(client_info) = client_info.filter(|_| code.client_info) {
            fields.push(("client_info", client_info));
        }
        fields.push(("session_state", crate::server::random::guid()));
        code.redirect.carry(fields, "code")
    }

    /// Picks the account, or returns the page that asks for one.
    fn choose_account(&mut self, known: &[SignedIn]) -> Option<Screen> {
        let offered = || known.iter().map(|account| account.upn.clone()).collect();
        if self.wants_other {
            return Some(Screen::Username);
        }
        if self.prompt == Prompt::SelectAccount && !known.is_empty() {
            return Some(Screen::PickAccount(offered()));
        }
        if let Some(hint) = self.login_hint.clone() {
            let usable = if self.prompt == Prompt::Login { &[][..] } else { known };
            self.choose(&hint, usable);
            return None;
        }
        match known {
            [] => Some(Screen::Username),
            _ if self.prompt == Prompt::Login => Some(Screen::Username),
            [only] => {
                let upn = only.upn.clone();
                self.choose(&upn, known);
                None
            }
            _ => Some(Screen::PickAccount(offered())),
        }
    }

    fn needs_mfa(&self, state: &EmulatorState, upn: &str) -> bool {
        let RequestedSignIn { scopes, client_id, claims, .. } = &self.requested;
        claims.demand_mfa() || state.requires_mfa(scopes.audience(), client_id, upn)
    }

    fn needs_consent(&self, state: &EmulatorState, sign_ins: &SignIns, upn: &str) -> bool {
        let client_id = &self.requested.client_id;
        let preauthorized = state.directory.app(client_id).is_some_and(|app| app.preauthorized);
        self.prompt == Prompt::Consent
            || self.is_for_device()
            || !(preauthorized || sign_ins.has_consented(upn, client_id))
    }

    fn agreement(&self, user: &User, tenant: &str, proof: Proof) -> Agreement {
        Agreement {
            upn: user.upn.clone(),
            tenant: tenant.to_owned(),
            client_id: self.requested.client_id.clone(),
            host: self.requested.host.clone(),
            scopes: self.requested.scopes.clone(),
            claims: self.requested.claims.clone(),
            proof,
            nonce: match &self.purpose {
                Purpose::Code(code) => code.nonce.clone(),
                Purpose::Device(_) => None,
            },
        }
    }
}

fn proof_of(known: &[SignedIn], upn: &str) -> Option<Proof> {
    let account = known.iter().find(|account| account.upn.eq_ignore_ascii_case(upn.trim()))?;
    Some(account.proof)
}
