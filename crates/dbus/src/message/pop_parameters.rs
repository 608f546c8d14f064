use serde::{Deserialize, Serialize};

use super::Member;

/// `popParams` as clients send it: what a signed HTTP request is to be about.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PopMembers {
    pub(crate) authentication_scheme: Member<String>,
    pub(crate) home_account_id: Member<String>,
    pub(crate) http_method: Member<String>,
    pub(crate) kid: Member<String>,
    pub(crate) nonce: Member<String>,
    pub(crate) uri_host: Member<String>,
    pub(crate) uri_path: Member<String>,
}

impl PopMembers {
    /// Whether a token bound to a key is asked for; some clients send the object with the scheme
    /// `bearer`, some without any content.
    pub(crate) fn asks_for_proof(&self) -> bool {
        match self.authentication_scheme.clone().lenient() {
            Some(scheme) => scheme.eq_ignore_ascii_case("pop"),
            None => [&self.http_method, &self.kid, &self.nonce, &self.uri_host]
                .into_iter()
                .any(|member| !matches!(member, Member::Absent)),
        }
    }
}

/// `popParams` as we send it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PopObject<'a> {
    pub(crate) client_claims: &'a str,
    pub(crate) home_account_id: &'a str,
    pub(crate) http_method: &'a str,
    pub(crate) nonce: &'a str,
    pub(crate) uri_host: &'a str,
    pub(crate) uri_path: &'a str,
}
