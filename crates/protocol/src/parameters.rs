use std::borrow::Cow;
use std::collections::BTreeMap;

use keybearer_core::{Error, Result, ScopeSet};
use url::{Url, form_urlencoded};

use crate::Body;

/// The parameters of a request, RFC 6749 appendix B. Secrets are borrowed; the first copy is the
/// body.
pub(crate) struct Parameters<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl<'a> Parameters<'a> {
    /// Collects the given parameters except those that are `None`.
    pub(crate) fn new<const N: usize>(parameters: [(&'a str, Option<Cow<'a, str>>); N]) -> Self {
        let present = parameters.into_iter().filter_map(|(name, value)| Some((name, value?)));
        Self(present.collect())
    }

    /// Adds the caller's parameters; a reserved one is an error.
    pub(crate) fn extend(&mut self, extra: &'a BTreeMap<String, String>) -> Result<()> {
        for (name, value) in extra {
            if RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
                return Err(reserved(name));
            }
            self.0.push((name, Cow::Borrowed(value)));
        }
        Ok(())
    }

    /// Appends the parameters to the query of the URL, RFC 6749 §3.1.
    pub(crate) fn append_to(&self, url: &Url) -> Url {
        let mut url = url.clone();
        url.query_pairs_mut().extend_pairs(&self.0);
        url
    }

    /// The `application/x-www-form-urlencoded` body.
    pub(crate) fn body(&self) -> Body {
        // Large enough from the start, because growing would leave copies of secrets in memory.
        let capacity = self.0.iter().map(|(name, value)| 3 * (name.len() + value.len()) + 2).sum();
        let mut form = form_urlencoded::Serializer::new(String::with_capacity(capacity));
        form.extend_pairs(&self.0);
        Body::new(form.finish().into_bytes())
    }
}

/// The `scope` parameter: the requested scopes, and those that make a sign-in renewable, OpenID
/// Connect Core §11.
pub(crate) fn scope(scopes: &ScopeSet) -> String {
    let mut scope = scopes.to_string();
    if !scope.is_empty() {
        scope.push(' ');
    }
    scope + "openid profile offline_access"
}

/// The `redirect_uri` parameter. Entra compares it as text with the registered one, and a loopback
/// address is registered without a final slash.
pub(crate) fn redirect_uri(uri: &Url) -> &str {
    let bare = uri.path() == "/" && uri.query().is_none() && uri.fragment().is_none();
    if bare && is_loopback(uri) { uri.as_str().trim_end_matches('/') } else { uri.as_str() }
}

/// Whether the URI is a loopback address, RFC 8252 §7.3, or `localhost`, which Entra treats alike.
pub(crate) fn is_loopback(uri: &Url) -> bool {
    uri.scheme() == "http" && matches!(uri.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

fn reserved(name: &str) -> Error {
    Error::invalid_request(
        "extra_query",
        format!("the extra parameter {name} is set by the broker"),
    )
    .with_hint("remove it from the extra parameters, and use the option for it if there is one")
}

/// The names that extra parameters must not have: those this crate sets, those that replace them
/// (`request` and `request_uri`, OpenID Connect Core §6), and those of credentials.
const RESERVED: &[&str] = &[
    "assertion",
    "claims",
    "client-request-id",
    "client_assertion",
    "client_assertion_type",
    "client_id",
    "client_info",
    "client_secret",
    "code",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "device_code",
    "grant_type",
    "login_hint",
    "nonce",
    "password",
    "prompt",
    "redirect_uri",
    "refresh_token",
    "request",
    "request_uri",
    "response_mode",
    "response_type",
    "scope",
    "state",
    "username",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_names_are_refused_in_any_case() {
        for name in RESERVED {
            for name in [(*name).to_owned(), name.to_uppercase()] {
                let extra = BTreeMap::from([(name.clone(), "x".to_owned())]);
                let error = Parameters::new([]).extend(&extra).unwrap_err();
                assert!(error.message().contains(&name), "{error}");
            }
        }
    }

    #[test]
    fn the_scopes_of_a_sign_in_come_last_or_alone() {
        let storage = ScopeSet::parse(&["https://storage.azure.com/.default"]).unwrap();
        for (scopes, expected) in [
            (storage, "https://storage.azure.com/.default openid profile offline_access"),
            (ScopeSet::sign_in(), "openid profile offline_access"),
        ] {
            assert_eq!(scope(&scopes), expected);
        }
    }

    #[test]
    fn the_body_is_written_without_growing() {
        let secret = "&".repeat(1000);
        let parameters = Parameters::new([("code", Some(secret.as_str().into())), ("x", None)]);
        assert_eq!(parameters.body().expose(), format!("code={}", "%26".repeat(1000)).as_bytes());
    }
}
