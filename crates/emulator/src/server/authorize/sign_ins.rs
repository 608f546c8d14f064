//! Browser sessions, pending sign-ins, and the consents that users have given.

use std::collections::{HashMap, HashSet};

use super::transaction::{Agreement, Transaction};
use crate::server::jwt::Proof;
use crate::server::random::secret;

#[derive(Default)]
pub(crate) struct SignIns {
    /// By the value of the cookie.
    sessions: HashMap<String, Vec<SignedIn>>,
    /// By the `ctx` field of the pages.
    pub(crate) transactions: HashMap<String, Transaction>,
    /// User and client id.
    consents: HashSet<(String, String)>,
}

/// An account that a browser is signed in with.
#[derive(Clone, Debug)]
pub(crate) struct SignedIn {
    pub(crate) upn: String,
    pub(crate) proof: Proof,
}

impl SignIns {
    /// The accounts of the browser with this cookie.
    pub(crate) fn session(&self, cookie: Option<&str>) -> Vec<SignedIn> {
        cookie.and_then(|cookie| self.sessions.get(cookie)).cloned().unwrap_or_default()
    }

    /// Adds an account to the browser's session, and returns the session's cookie.
    pub(crate) fn remember(&mut self, cookie: Option<&str>, upn: &str, proof: Proof) -> String {
        let known = cookie.filter(|cookie| self.sessions.contains_key(*cookie));
        let id = known.map_or_else(|| secret(""), str::to_owned);
        let accounts = self.sessions.entry(id.clone()).or_default();
        match accounts.iter_mut().find(|account| account.upn == upn) {
            Some(account) => account.proof = account.proof.max(proof),
            None => accounts.push(SignedIn { upn: upn.to_owned(), proof }),
        }
        id
    }

    pub(crate) fn end_session(&mut self, cookie: &str) {
        self.sessions.remove(cookie);
    }

    /// Signs this user out of every browser.
    pub(crate) fn forget(&mut self, upn: &str) {
        for accounts in self.sessions.values_mut() {
            accounts.retain(|account| !account.upn.eq_ignore_ascii_case(upn));
        }
    }

    pub(crate) fn consent(&mut self, agreement: &Agreement) {
        self.consents.insert((agreement.upn.clone(), agreement.client_id.clone()));
    }

    pub(crate) fn has_consented(&self, upn: &str, client_id: &str) -> bool {
        self.consents.contains(&(upn.to_owned(), client_id.to_owned()))
    }
}
