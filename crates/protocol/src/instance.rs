//! Instance discovery: whether a host that is not configured belongs to Microsoft.

use keybearer_core::{Authority, AuthorityHost, CorrelationId, Error, ErrorKind, Result, Tenant};
use serde::Deserialize;

use crate::Body;
use crate::exchange::{get, read};

/// Builds the request that asks a known host about an unknown one.
///
/// # Errors
/// `InvalidRequest` on the field `authority` if a host cannot stand in an HTTP request.
pub fn request(
    known: &AuthorityHost,
    asked: &Authority,
    correlation_id: &CorrelationId,
) -> Result<http::Request<Body>> {
    let mut url = Authority::new(known.clone(), Tenant::Common).endpoint("discovery/instance");
    url.query_pairs_mut()
        .append_pair("api-version", "1.1")
        .append_pair("authorization_endpoint", asked.endpoint("oauth2/v2.0/authorize").as_str());
    get(&url, correlation_id)
}

/// Whether a host may be sent credentials.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Trust {
    /// Microsoft lists the host.
    Listed,
    /// Microsoft does not list the host.
    Unlisted,
}

/// Reads the response. A trusted host is among the aliases; the error `invalid_instance` means that
/// it is not.
///
/// # Errors
/// `Transient` or `Protocol` if the response does not say.
pub fn parse(asked: &AuthorityHost, response: &http::Response<Body>) -> Result<Trust> {
    let wire: Wire = match read(response, "question whether the authority is known") {
        Err(error) if is_invalid_instance(&error) => return Ok(Trust::Unlisted),
        answer => answer?,
    };
    let mut aliases = wire.metadata.iter().flat_map(|cloud| &cloud.aliases);
    let listed = aliases.any(|alias| alias.eq_ignore_ascii_case(asked.as_str()));
    Ok(if listed { Trust::Listed } else { Trust::Unlisted })
}

fn is_invalid_instance(error: &Error) -> bool {
    !matches!(error.kind(), ErrorKind::Transient { .. })
        && error.context().oauth_error.as_deref() == Some("invalid_instance")
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    metadata: Vec<Cloud>,
}

#[derive(Deserialize)]
struct Cloud {
    #[serde(default)]
    aliases: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(host: &str, status: u16, body: &str) -> Result<Trust> {
        let body = Body::new(body.as_bytes().to_vec());
        let response = http::Response::builder().status(status).body(body).unwrap();
        parse(&AuthorityHost::parse(host).unwrap(), &response)
    }

    #[test]
    fn the_host_is_asked_about_as_an_authorization_endpoint() {
        let asked = Authority::parse("https://login.new.example/common").unwrap();
        let request =
            request(&AuthorityHost::public_cloud(), &asked, &CorrelationId::default()).unwrap();
        assert_eq!(
            request.uri(),
            "https://login.microsoftonline.com/common/discovery/instance?api-version=1.1\
             &authorization_endpoint=https%3A%2F%2Flogin.new.example%2Fcommon%2Foauth2%2Fv2.0%2Fauthorize"
        );
    }

    #[test]
    fn only_a_listed_host_is_trusted() {
        let body = r#"{"tenant_discovery_endpoint":"x","metadata":[
            {"preferred_network":"a","aliases":["login.new.example","b"]}]}"#;
        assert_eq!(trust("login.new.example", 200, body).unwrap(), Trust::Listed);
        assert_eq!(trust("new.example", 200, body).unwrap(), Trust::Unlisted);
        assert_eq!(trust("login.new.example", 200, "{}").unwrap(), Trust::Unlisted);
    }

    #[test]
    fn an_invalid_instance_is_not_trusted_and_no_answer_is_an_error() {
        let invalid = r#"{"error":"invalid_instance","error_description":"AADSTS50049: Unknown"}"#;
        assert_eq!(trust("evil.example", 400, invalid).unwrap(), Trust::Unlisted);
        assert!(trust("evil.example", 503, "busy").is_err());
        assert!(trust("evil.example", 200, "<html>").is_err());
    }
}
