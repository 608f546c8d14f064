//! A provider's configuration:
//! [OpenID Connect Discovery 1.0](https://openid.net/specs/openid-connect-discovery-1_0.html) §4.

use keybearer_core::{Authority, AuthorityHost, CorrelationId, Error, Result, TenantId};
use serde::Deserialize;
use url::Url;

use crate::Body;
use crate::exchange::{get, read, required};

/// Builds the request for the configuration, OpenID Connect Discovery 1.0 §4.1.
///
/// # Errors
/// `InvalidRequest` on the field `authority` if its host cannot stand in an HTTP request.
pub fn request(
    authority: &Authority,
    correlation_id: &CorrelationId,
) -> Result<http::Request<Body>> {
    get(&authority.endpoint("v2.0/.well-known/openid-configuration"), correlation_id)
}

/// Reads the response, OpenID Connect Discovery 1.0 §4.2.
///
/// # Errors
/// `InvalidRequest` on the field `tenant_id` if the directory does not exist, `Protocol` if the
/// response is not a configuration or names endpoints outside the authority's cloud.
pub fn parse(authority: &Authority, response: &http::Response<Body>) -> Result<ProviderMetadata> {
    let wire: Wire = read(response, WHAT)?;
    let host = authority.host();
    let issuer = required(wire.issuer, "issuer", WHAT)?;
    check_issuer(&issuer, host)?;
    let endpoint =
        |value: Option<String>, field| endpoint(&required(value, field, WHAT)?, field, host);
    Ok(ProviderMetadata {
        tenant: issuer.split('/').find_map(guid),
        issuer,
        authorization_endpoint: endpoint(wire.authorization_endpoint, "authorization_endpoint")?,
        token_endpoint: endpoint(wire.token_endpoint, "token_endpoint")?,
        device_authorization_endpoint: wire
            .device_authorization_endpoint
            .map(|url| endpoint(Some(url), "device_authorization_endpoint"))
            .transpose()?,
        jwks_uri: endpoint(wire.jwks_uri, "jwks_uri")?,
        names_issuer_in_answers: wire.authorization_response_iss_parameter_supported,
    })
}

const WHAT: &str = "request for the provider's configuration";

#[derive(Deserialize)]
struct Wire {
    issuer: Option<String>,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    device_authorization_endpoint: Option<String>,
    jwks_uri: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// A provider's configuration. Every URL in it is HTTPS and on a host of the authority's cloud.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProviderMetadata {
    /// The issuer of tokens; may contain `{tenantid}` for the directory of the account.
    pub issuer: String,
    /// Where people sign in.
    pub authorization_endpoint: Url,
    /// Where tokens are issued.
    pub token_endpoint: Url,
    /// Where a sign-in on another device starts, RFC 8628 §4.
    pub device_authorization_endpoint: Option<Url>,
    /// Where the keys that sign id tokens are published.
    pub jwks_uri: Url,
    /// The directory's GUID, if this is the configuration of one directory.
    pub tenant: Option<TenantId>,
    /// Whether authorization answers carry `iss`, RFC 9207 §3.
    pub names_issuer_in_answers: bool,
}

impl ProviderMetadata {
    /// The issuer of tokens of this directory.
    #[must_use]
    pub fn issuer_for(&self, tenant: &TenantId) -> String {
        self.issuer.replace(PLACEHOLDER, tenant.as_str())
    }

    /// Whether `text` is the issuer of a directory that this configuration covers.
    pub(crate) fn is_issuer(&self, text: &str) -> bool {
        let directory = |(before, after): (&str, &str)| {
            text.strip_prefix(before)?.strip_suffix(after).and_then(guid)
        };
        text == self.issuer || self.issuer.split_once(PLACEHOLDER).and_then(directory).is_some()
    }
}

/// Stands for the directory in configurations for several directories.
const PLACEHOLDER: &str = "{tenantid}";

fn guid(text: &str) -> Option<TenantId> {
    TenantId::parse(text).ok().filter(TenantId::is_guid)
}

/// Parses an endpoint. To prevent mix-up attacks, it must be in the authority's cloud, so that a
/// configuration cannot send codes or tokens elsewhere or supply foreign keys. Parsing the host
/// checks for HTTPS.
fn endpoint(text: &str, field: &str, host: &AuthorityHost) -> Result<Url> {
    let url = Url::parse(text).map_err(|_| foreign(field))?;
    let same_cloud =
        AuthorityHost::parse(text).is_ok_and(|own| own.environment() == host.environment());
    if same_cloud { Ok(url) } else { Err(foreign(field)) }
}

/// The issuer may be another host than the authority, but of the same cloud, or of none. At
/// Microsoft Entra External ID it is the host named by the directory's id.
fn check_issuer(issuer: &str, host: &AuthorityHost) -> Result<()> {
    let named = Url::parse(issuer).ok().and_then(|_| AuthorityHost::parse(issuer).ok());
    let named = named.ok_or_else(|| foreign("issuer"))?;
    if named.cloud() == host.cloud() { Ok(()) } else { Err(foreign("issuer")) }
}

fn foreign(field: &str) -> Error {
    Error::protocol(
        format!("the provider's {field} as an https address in the authority's cloud"),
        "another address",
    )
    .with_hint("check the authority, and whether a proxy changes its answers")
}

#[cfg(test)]
mod tests {
    use keybearer_core::ErrorKind;

    use super::*;

    const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

    fn configuration(host: &str, tenant: &str) -> serde_json::Value {
        serde_json::json!({
            "issuer": format!("https://{host}/{tenant}/v2.0"),
            "authorization_endpoint": format!("https://{host}/{tenant}/oauth2/v2.0/authorize"),
            "token_endpoint": format!("https://{host}/{tenant}/oauth2/v2.0/token"),
            "device_authorization_endpoint": format!("https://{host}/{tenant}/oauth2/v2.0/devicecode"),
            "jwks_uri": format!("https://{host}/{tenant}/discovery/v2.0/keys"),
        })
    }

    fn parsed(authority: &str, body: &serde_json::Value) -> Result<ProviderMetadata> {
        let response = http::Response::new(Body::new(body.to_string().into_bytes()));
        parse(&Authority::parse(authority).unwrap(), &response)
    }

    #[test]
    fn the_configuration_is_asked_for_under_the_tenant() {
        let authority =
            Authority::parse("https://login.microsoftonline.com/contoso.example").unwrap();
        let request = request(&authority, &CorrelationId::new("c-1")).unwrap();
        assert_eq!(
            request.uri(),
            "https://login.microsoftonline.com/contoso.example/v2.0/.well-known/openid-configuration"
        );
        assert_eq!(request.headers()["client-request-id"], "c-1");
    }

    #[test]
    fn a_concrete_issuer_names_the_directory() {
        let body = configuration("login.microsoftonline.com", TENANT);
        let metadata = parsed("https://login.microsoftonline.com/contoso.example", &body).unwrap();
        assert_eq!(metadata.tenant.as_ref().unwrap().as_str(), TENANT);
        assert!(metadata.is_issuer(&metadata.issuer));
    }

    #[test]
    fn an_issuer_with_a_placeholder_stands_for_any_directory() {
        let body = configuration("login.microsoftonline.com", PLACEHOLDER);
        let metadata = parsed("https://login.microsoftonline.com/common", &body).unwrap();
        let issuer = metadata.issuer_for(&TenantId::parse(TENANT).unwrap());
        assert_eq!(issuer, format!("https://login.microsoftonline.com/{TENANT}/v2.0"));
        assert_eq!(metadata.tenant, None);
        assert!(metadata.is_issuer(&issuer));
        assert!(!metadata.is_issuer("https://login.microsoftonline.com/x/v2.0"));
        assert!(!metadata.is_issuer(&issuer.replace("login", "evil")));
    }

    #[test]
    fn hosts_of_the_same_cloud_may_answer_for_each_other() {
        let body = configuration("login.microsoftonline.com", TENANT);
        parsed("https://login.windows.net/common", &body).unwrap();
        parsed("https://login.microsoftonline.us/common", &body).unwrap_err();
    }

    #[test]
    fn a_directory_of_external_id_may_issue_from_the_host_named_by_its_id() {
        let mut body = configuration("contoso.ciamlogin.com", TENANT);
        body["issuer"] = format!("https://{TENANT}.ciamlogin.com/{TENANT}/v2.0").into();
        parsed("https://contoso.ciamlogin.com/", &body).unwrap();
        body["token_endpoint"] = "https://fabrikam.ciamlogin.com/oauth2/v2.0/token".into();
        parsed("https://contoso.ciamlogin.com/", &body).unwrap_err();
    }

    #[test]
    fn every_address_must_be_https_and_of_the_same_cloud() {
        let fields = ["issuer", "authorization_endpoint", "token_endpoint", "jwks_uri"];
        for field in fields.into_iter().chain(["device_authorization_endpoint"]) {
            for bad in ["http://login.microsoftonline.com/x", "https://evil.example/x", "x", ""] {
                let mut body = configuration("login.microsoftonline.com", TENANT);
                body[field] = bad.into();
                let error = parsed("https://login.microsoftonline.com/common", &body).unwrap_err();
                assert!(error.message().contains(field), "{field} = {bad:?}: {error}");
            }
        }
    }

    #[test]
    fn a_missing_field_is_named() {
        for field in ["issuer", "authorization_endpoint", "token_endpoint", "jwks_uri"] {
            let mut body = configuration("localhost:8443", TENANT);
            body.as_object_mut().unwrap().remove(field);
            let error = parsed("https://localhost:8443/common", &body).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Protocol { .. }));
            assert!(error.message().contains(field), "{error}");
        }
    }
}
