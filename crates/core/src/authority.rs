use std::fmt;

use url::Url;

use crate::cloud::{self, Cloud, OtherProvider, ResourceManager};
use crate::{Error, Result, TenantId};

/// The host (and port, if not 443) of an authority, lower-case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthorityHost(Box<str>);

impl AuthorityHost {
    /// Microsoft's public cloud, `login.microsoftonline.com`.
    #[must_use]
    pub fn public_cloud() -> Self {
        Self("login.microsoftonline.com".into())
    }

    /// Parses `host`, `host:port` or `https://host[:port][/]`.
    ///
    /// # Errors
    /// `InvalidRequest` on the field `authority` if the text is not such a host or not HTTPS.
    pub fn parse(text: &str) -> Result<Self> {
        Self::of(&parse_https(text)?)
    }

    fn of(url: &Url) -> Result<Self> {
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| invalid("the authority has no host".into()))?;
        Ok(Self(match url.port() {
            Some(port) => format!("{host}:{port}").into(),
            None => host.into(),
        }))
    }

    /// `host` or `host:port`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The Microsoft cloud this host belongs to, if it is known.
    #[must_use]
    pub fn cloud(&self) -> Option<&'static Cloud> {
        Cloud::of_host(&self.0)
    }

    /// Whether the host belongs to a Microsoft cloud. Such a host is trusted without instance
    /// discovery.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.cloud().is_some()
    }

    /// Whether this is a directory's own host at Microsoft Entra External ID (CIAM). The brokers of
    /// operating systems do not sign in there.
    #[must_use]
    pub fn is_ciam(&self) -> bool {
        cloud::is_ciam(&self.0)
    }

    /// The name that accounts and tokens of this host are kept under. Hosts that serve the same
    /// directories share one name; for any other host it is the host.
    #[must_use]
    pub fn environment(&self) -> &str {
        self.cloud().and_then(Cloud::cache_name).unwrap_or(&self.0)
    }

    /// The tenant that an authority without one means: `organizations`. At Microsoft Entra External
    /// ID `https://contoso.ciamlogin.com/` means `contoso.onmicrosoft.com`, as in MSAL for .NET
    /// (`CiamAuthority.TransformAuthority`).
    #[must_use]
    pub fn default_tenant(&self) -> Tenant {
        let name = self.0.split('.').next().filter(|_| self.is_ciam());
        let id = name.and_then(|name| TenantId::parse(&format!("{name}.onmicrosoft.com")).ok());
        id.map_or(Tenant::Organizations, Tenant::Id)
    }

    /// The Azure Resource Manager of this host's cloud.
    ///
    /// # Errors
    /// `InvalidRequest` on the field `scopes` if it is not known.
    pub fn resource_manager(&self) -> Result<ResourceManager> {
        match self.cloud() {
            Some(cloud) => cloud.resource_manager(),
            None => Err(cloud::unknown_resource_manager(&self.0)),
        }
    }
}

impl fmt::Display for AuthorityHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AuthorityHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthorityHost({})", self.0)
    }
}

/// Which accounts may sign in: all, work or school accounts, personal accounts, or the members of
/// one directory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Tenant {
    /// Work, school and personal accounts.
    Common,
    /// Work and school accounts.
    Organizations,
    /// Personal accounts.
    Consumers,
    /// Members and guests of one directory.
    Id(TenantId),
}

impl Tenant {
    /// Parses the path segment of an authority.
    ///
    /// # Errors
    /// `InvalidRequest` on the field `tenant_id` if it is not an identifier, or the path segment of
    /// an AD FS or Azure AD B2C authority.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(other) = OtherProvider::of("", &[text]) {
            return Err(other.refusal("tenant_id", text));
        }
        Ok(match text.to_ascii_lowercase().as_str() {
            "common" => Self::Common,
            "organizations" => Self::Organizations,
            "consumers" => Self::Consumers,
            _ => Self::Id(TenantId::parse(text)?),
        })
    }

    /// The path segment.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Common => "common",
            Self::Organizations => "organizations",
            Self::Consumers => "consumers",
            Self::Id(id) => id.as_str(),
        }
    }

    /// The directory, if this names one.
    #[must_use]
    pub const fn id(&self) -> Option<&TenantId> {
        match self {
            Self::Id(id) => Some(id),
            Self::Common | Self::Organizations | Self::Consumers => None,
        }
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The address of a token issuer: `https://host/tenant`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Authority {
    host: AuthorityHost,
    tenant: Tenant,
}

impl Authority {
    /// Joins a host and a tenant.
    #[must_use]
    pub const fn new(host: AuthorityHost, tenant: Tenant) -> Self {
        Self { host, tenant }
    }

    /// Parses `https://host[:port]/tenant[/]`; without a tenant it is the host's
    /// [`default_tenant`](AuthorityHost::default_tenant).
    ///
    /// # Errors
    /// `InvalidRequest` on the field `authority` (or `tenant_id`) if the text is not such a URL.
    pub fn parse(text: &str) -> Result<Self> {
        let url = parse_https(text)?;
        let host = AuthorityHost::of(&url)?;
        let tenant = match segments(&url).first() {
            Some(first) => Tenant::parse(first)?,
            None => host.default_tenant(),
        };
        Ok(Self { host, tenant })
    }

    /// The host.
    #[must_use]
    pub const fn host(&self) -> &AuthorityHost {
        &self.host
    }

    /// The tenant.
    #[must_use]
    pub const fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// The same host with another tenant.
    #[must_use]
    pub fn with_tenant(&self, tenant: Tenant) -> Self {
        Self { host: self.host.clone(), tenant }
    }

    /// `https://host/tenant/path`.
    ///
    /// # Panics
    /// Never: with a parsed host and tenant, every relative path makes a valid URL.
    #[must_use]
    #[allow(
        clippy::expect_used,
        reason = "host and tenant were parsed, and no path makes the URL invalid"
    )]
    pub fn endpoint(&self, path: &str) -> Url {
        Url::parse(&format!("{self}/{path}")).expect("a parsed authority is a valid URL base")
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}/{}", self.host, self.tenant)
    }
}

fn parse_https(text: &str) -> Result<Url> {
    let with_scheme = if text.contains("://") { text.into() } else { format!("https://{text}") };
    let url = Url::parse(&with_scheme)
        .map_err(|error| invalid("the authority is not a URL".into()).with_source(error))?;
    if url.scheme() != "https" {
        return Err(invalid(format!("the authority must use https, not {}", url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("the authority must not carry a user name or password".into()));
    }
    match OtherProvider::of(url.host_str().unwrap_or_default(), &segments(&url)) {
        Some(other) => Err(other.refusal("authority", url.as_str())),
        None => Ok(url),
    }
}

/// The parts of the path that are not empty.
fn segments(url: &Url) -> Vec<&str> {
    url.path_segments().into_iter().flatten().filter(|segment| !segment.is_empty()).collect()
}

fn invalid(message: String) -> Error {
    Error::invalid_request("authority", message)
        .with_hint("give the authority as https://login.microsoftonline.com/TENANT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_parsed_with_and_without_scheme_port_and_tenant() {
        for (text, expected) in [
            (
                "https://login.microsoftonline.com/common",
                "https://login.microsoftonline.com/common",
            ),
            ("login.microsoftonline.com", "https://login.microsoftonline.com/organizations"),
            ("https://LOCALHOST:8443/Contoso.Example/", "https://localhost:8443/contoso.example"),
            (
                "https://login.microsoftonline.us:443/",
                "https://login.microsoftonline.us/organizations",
            ),
            (
                "https://contoso.ciamlogin.com/",
                "https://contoso.ciamlogin.com/contoso.onmicrosoft.com",
            ),
            ("https://contoso.ciamlogin.com/x.example", "https://contoso.ciamlogin.com/x.example"),
        ] {
            assert_eq!(Authority::parse(text).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn insecure_or_odd_authorities_are_refused() {
        for bad in
            ["", "http://login.microsoftonline.com/common", "https://u:p@host/t", "https://", "::"]
        {
            assert!(Authority::parse(bad).is_err(), "{bad:?} should be refused");
        }
    }

    #[test]
    fn ad_fs_and_b2c_are_refused_by_name() {
        for (authority, name) in [
            ("https://fs.contoso.example/adfs", "AD FS"),
            ("https://contoso.b2clogin.com/contoso.onmicrosoft.com/B2C_1_x", "Azure AD B2C"),
            ("https://login.microsoftonline.com/tfp/contoso/B2C_1_x", "Azure AD B2C"),
        ] {
            for error in [
                Authority::parse(authority).unwrap_err(),
                AuthorityHost::parse(authority).unwrap_err(),
            ] {
                assert!(error.message().starts_with(name), "{error}");
                assert!(error.hint().is_some());
            }
        }
        assert!(Tenant::parse("adfs").unwrap_err().message().starts_with("AD FS"));
    }

    #[test]
    fn hosts_of_one_cloud_share_an_environment() {
        let environment = |host: &str| AuthorityHost::parse(host).unwrap().environment().to_owned();
        assert_eq!(environment("login.microsoftonline.com"), environment("sts.windows.net"));
        assert_ne!(
            environment("login.microsoftonline.com"),
            environment("login.microsoftonline.us")
        );
        assert_eq!(environment("localhost:8443"), "localhost:8443");
        assert!(
            !AuthorityHost::parse("login.microsoftonline.com.evil.example").unwrap().is_known()
        );
    }
}
