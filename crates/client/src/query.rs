use keybearer_core::{
    Claims, Error, HttpRequestToSign, ProofOfPossession, Result, ScopeSet, Tenant, TokenType,
};
use url::{Position, Url};

use crate::cache::CacheLookup;

/// What one call asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenQuery<'a> {
    /// The scopes, all of one resource.
    pub scopes: &'a [&'a str],
    /// Another directory than the credential's own.
    pub tenant_id: Option<&'a str>,
    /// A claims challenge, as decoded JSON.
    pub claims: Option<&'a str>,
    /// Whether the caller handles claims challenges (continuous access evaluation).
    pub enable_cae: bool,
    /// The key to bind the token to; `None` for a bearer token.
    pub proof_of_possession: Option<&'a ProofOfPossession>,
}

/// Asks for a token that is a signed HTTP request: good for this request only, and only if it comes
/// from the app that asked. `method` is taken in upper case; `nonce` is the one of the service's
/// challenge, if it gave one.
///
/// # Errors
/// `InvalidRequest` on `proof_of_possession` if the URL is none with a host.
pub fn signed_request(method: &str, url: &str, nonce: Option<&str>) -> Result<ProofOfPossession> {
    let wrong = |message| Error::invalid_request("proof_of_possession", message);
    let url = Url::parse(url)
        .map_err(|error| wrong("the URL of the request to sign is not a URL").with_source(error))?;
    if url.host_str().is_none() {
        return Err(wrong("the URL of the request to sign has no host"));
    }
    Ok(ProofOfPossession::Signed(HttpRequestToSign {
        method: Some(method.to_ascii_uppercase()),
        host: Some(url[Position::BeforeHost..Position::AfterPort].to_owned()),
        path: Some(url[Position::BeforePath..Position::AfterQuery].to_owned()),
        nonce: nonce.filter(|nonce| !nonce.is_empty()).map(str::to_owned),
        client_claims: None,
    }))
}

/// A query, parsed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct ParsedQuery {
    pub(crate) scopes: ScopeSet,
    pub(crate) tenant: Tenant,
    pub(crate) claims: Option<Claims>,
    pub(crate) cae: bool,
    pub(crate) proof: Option<ProofOfPossession>,
    pub(crate) purpose: Purpose,
}

/// What the program wants to come of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Purpose {
    /// A token, with as little ado as possible.
    Token,
    /// A person who has signed in, or has said which of the connected accounts to use.
    SignIn,
}

impl ParsedQuery {
    /// Where its token is kept. `scopes` are its own, as a slice.
    pub(crate) fn lookup<'a>(&'a self, scopes: &'a [&'a str]) -> CacheLookup<'a> {
        CacheLookup {
            scopes,
            tenant: &self.tenant,
            claims: self.claims.as_ref(),
            cae: self.cae,
            proof: self.proof.as_ref(),
        }
    }

    /// A signature has a nonce and a time: no other request can use it, and it cannot be used twice.
    pub(crate) const fn is_for_one_request(&self) -> bool {
        matches!(self.proof, Some(ProofOfPossession::Signed(_)))
    }

    /// A bearer token is no answer to a caller that asked for a bound one, nor the other way round.
    pub(crate) fn check_type(&self, token_type: TokenType) -> Result<()> {
        match (&self.proof, token_type) {
            (None, TokenType::ProofOfPossession) => {
                Err(Error::protocol("a bearer token", "one bound to a key"))
            }
            (Some(ProofOfPossession::Signed(_)), TokenType::Bearer) => {
                Err(Error::protocol("a signed HTTP request", "a bearer token"))
            }
            // Brokers call a token that is bound to the app's key one or the other.
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_to_sign_is_taken_apart_as_the_signature_names_its_parts() {
        let cases = [
            (
                "https://graph.microsoft.com/v1.0/me?$select=id#x",
                "graph.microsoft.com",
                "/v1.0/me?$select=id",
            ),
            ("https://localhost:8443", "localhost:8443", "/"),
        ];
        for (url, host, path) in cases {
            let Ok(ProofOfPossession::Signed(request)) = signed_request("get", url, Some("n"))
            else {
                panic!("{url}");
            };
            assert_eq!(request.method.as_deref(), Some("GET"));
            assert_eq!(request.host.as_deref(), Some(host));
            assert_eq!(request.path.as_deref(), Some(path));
            assert_eq!(request.nonce.as_deref(), Some("n"));
        }
        for url in ["", "/v1.0/me", "data:text/plain,x"] {
            assert!(signed_request("GET", url, None).is_err(), "{url}");
        }
    }
}
