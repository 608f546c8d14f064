//! Microsoft's clouds: the one table of their hosts.
//!
//! A new cloud is a new row. Sources, as of November 2026: the built-in instance metadata of MSAL for
//! .NET and for Python (login hosts), `AzureAuthorityHosts` of Azure Identity for .NET, Bicep's cloud
//! profiles and ARMClient (Azure Resource Manager), Microsoft's lists of endpoints for device
//! registration. What these do not name is `None`.

use crate::{Error, Missing, Result};

/// One of Microsoft's clouds: a deployment of Entra ID, and of Azure if it has one.
#[derive(PartialEq, Eq, Debug)]
pub struct Cloud {
    name: &'static str,
    login_hosts: LoginHosts,
    resource_manager: Option<ResourceManager>,
    device_registration: Option<&'static str>,
}

/// The hosts that sign people in.
#[derive(PartialEq, Eq, Debug)]
enum LoginHosts {
    /// These, for the same directories. The first is the name that tokens are cached under.
    Listed(&'static [&'static str]),
    /// Every subdomain of this domain, each for one directory.
    SubdomainsOf(&'static str),
}

/// The Azure Resource Manager of a cloud.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ResourceManager {
    /// The host of its REST interface.
    pub host: &'static str,
    /// The audience of its older tokens, which Azure Identity still requests when it signs in.
    pub audience: &'static str,
}

/// The domain of Microsoft Entra External ID (CIAM).
const CIAM: &str = "ciamlogin.com";

/// Azure AD B2C, from MSAL for Python's `WELL_KNOWN_B2C_HOSTS`.
const B2C: [&str; 4] = ["b2clogin.com", "b2clogin.cn", "b2clogin.us", "b2clogin.de"];

static CLOUDS: [Cloud; 9] = [
    Cloud {
        name: "Azure",
        login_hosts: LoginHosts::Listed(&[
            "login.windows.net",
            "login.microsoftonline.com",
            "login.microsoft.com",
            "sts.windows.net",
        ]),
        resource_manager: Some(ResourceManager {
            host: "management.azure.com",
            audience: "https://management.core.windows.net/",
        }),
        device_registration: Some("enterpriseregistration.windows.net"),
    },
    Cloud {
        name: "Azure in China",
        login_hosts: LoginHosts::Listed(&[
            "login.partner.microsoftonline.cn",
            "login.chinacloudapi.cn",
        ]),
        resource_manager: Some(ResourceManager {
            host: "management.chinacloudapi.cn",
            audience: "https://management.core.chinacloudapi.cn/",
        }),
        device_registration: Some("enterpriseregistration.partner.microsoftonline.cn"),
    },
    Cloud {
        name: "Azure US Government",
        login_hosts: LoginHosts::Listed(&["login.microsoftonline.us", "login.usgovcloudapi.net"]),
        resource_manager: Some(ResourceManager {
            host: "management.usgovcloudapi.net",
            audience: "https://management.core.usgovcloudapi.net/",
        }),
        device_registration: Some("enterpriseregistration.microsoftonline.us"),
    },
    Cloud {
        name: "Azure US Government (login-us)",
        login_hosts: LoginHosts::Listed(&["login-us.microsoftonline.com"]),
        resource_manager: None,
        device_registration: None,
    },
    Cloud {
        name: "Azure Germany (closed in 2021)",
        login_hosts: LoginHosts::Listed(&["login.microsoftonline.de"]),
        resource_manager: Some(ResourceManager {
            host: "management.microsoftazure.de",
            audience: "https://management.core.cloudapi.de/",
        }),
        device_registration: None,
    },
    Cloud {
        name: "Bleu (France)",
        login_hosts: LoginHosts::Listed(&["login.sovcloud-identity.fr"]),
        resource_manager: Some(ResourceManager {
            host: "management.sovcloud-api.fr",
            audience: "https://management.core.sovcloud-api.fr/",
        }),
        device_registration: None,
    },
    Cloud {
        name: "Delos Cloud (Germany)",
        login_hosts: LoginHosts::Listed(&["login.sovcloud-identity.de"]),
        resource_manager: Some(ResourceManager {
            host: "management.sovcloud-api.de",
            audience: "https://management.core.sovcloud-api.de/",
        }),
        device_registration: None,
    },
    Cloud {
        name: "Government Cloud (Singapore)",
        login_hosts: LoginHosts::Listed(&["login.sovcloud-identity.sg"]),
        resource_manager: None,
        device_registration: None,
    },
    Cloud {
        name: "Microsoft Entra External ID",
        login_hosts: LoginHosts::SubdomainsOf(CIAM),
        resource_manager: None,
        device_registration: None,
    },
];

impl Cloud {
    /// The cloud that signs in at `host`, which is in lower case.
    pub(crate) fn of_host(host: &str) -> Option<&'static Self> {
        CLOUDS.iter().find(|cloud| match cloud.login_hosts {
            LoginHosts::Listed(hosts) => hosts.contains(&host),
            LoginHosts::SubdomainsOf(domain) => is_subdomain(host, domain),
        })
    }

    /// The name accounts and tokens are kept under, if all hosts of the cloud share one.
    pub(crate) const fn cache_name(&self) -> Option<&'static str> {
        match self.login_hosts {
            LoginHosts::Listed([first, ..]) => Some(first),
            LoginHosts::Listed([]) | LoginHosts::SubdomainsOf(_) => None,
        }
    }

    /// Its name, for people.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its Azure Resource Manager.
    ///
    /// # Errors
    /// `InvalidRequest` on the field `scopes` if it has none that is publicly known.
    pub fn resource_manager(&self) -> Result<ResourceManager> {
        self.resource_manager.ok_or_else(|| unknown_resource_manager(self.name))
    }

    /// The host that registers devices, `enterpriseregistration`.
    ///
    /// # Errors
    /// `Unavailable(DeviceRegistration)` if it has none that is publicly known.
    pub fn device_registration(&self) -> Result<&'static str> {
        self.device_registration.ok_or_else(|| {
            let message = format!("the host that registers devices in {} is not known", self.name);
            Error::unavailable(Missing::DeviceRegistration, message)
        })
    }
}

pub(crate) fn unknown_resource_manager(of: &str) -> Error {
    Error::invalid_request("scopes", format!("the Azure Resource Manager of {of} is not known"))
        .with_hint("name the scopes to sign in for")
}

/// Whether the host is a directory's own at Microsoft Entra External ID.
pub(crate) fn is_ciam(host: &str) -> bool {
    is_subdomain(host, CIAM)
}

/// Identity providers of Microsoft's that are not Entra ID, by the name people know them by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OtherProvider {
    /// Active Directory Federation Services.
    AdFs,
    /// Azure AD B2C.
    B2c,
}

impl OtherProvider {
    /// What an authority's host and path say, as MSAL reads them: AD FS has the path `adfs`, B2C a
    /// host below `b2clogin.com`, the path `tfp`, or a policy named `b2c_…` after the directory.
    pub(crate) fn of(host: &str, segments: &[&str]) -> Option<Self> {
        let is_policy = |segment: &&str| segment.to_ascii_lowercase().starts_with("b2c_");
        match segments.first().map(|first| first.to_ascii_lowercase()).as_deref() {
            _ if B2C.iter().any(|domain| is_subdomain(host, domain)) => Some(Self::B2c),
            Some("tfp") => Some(Self::B2c),
            Some("adfs") if !is_ciam(host) => Some(Self::AdFs),
            _ => segments.get(1).filter(|second| is_policy(second)).map(|_| Self::B2c),
        }
    }

    /// The refusal of such an authority, named by `field` and `text`.
    pub(crate) fn refusal(self, field: &'static str, text: &str) -> Error {
        let name = match self {
            Self::AdFs => "AD FS",
            Self::B2c => "Azure AD B2C",
        };
        Error::invalid_request(field, format!("{name} is not supported as an authority: {text}"))
            .with_hint(
                "use a directory of Microsoft Entra ID, https://login.microsoftonline.com/TENANT, \
                 or of Microsoft Entra External ID, https://TENANT.ciamlogin.com",
            )
    }
}

fn is_subdomain(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain)
        .and_then(|label| label.strip_suffix('.'))
        .is_some_and(|label| !label.is_empty() && !label.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A login host, its cloud, cache name, Resource Manager and device registration host.
    const CASES: &str = "\
login.microsoftonline.com | Azure | login.windows.net | management.azure.com | enterpriseregistration.windows.net
login.windows.net | Azure | login.windows.net | management.azure.com | enterpriseregistration.windows.net
login.microsoft.com | Azure | login.windows.net | management.azure.com | enterpriseregistration.windows.net
sts.windows.net | Azure | login.windows.net | management.azure.com | enterpriseregistration.windows.net
login.chinacloudapi.cn | Azure in China | login.partner.microsoftonline.cn | management.chinacloudapi.cn | enterpriseregistration.partner.microsoftonline.cn
login.microsoftonline.us | Azure US Government | login.microsoftonline.us | management.usgovcloudapi.net | enterpriseregistration.microsoftonline.us
login-us.microsoftonline.com | Azure US Government (login-us) | login-us.microsoftonline.com | - | -
login.microsoftonline.de | Azure Germany (closed in 2021) | login.microsoftonline.de | management.microsoftazure.de | -
login.sovcloud-identity.fr | Bleu (France) | login.sovcloud-identity.fr | management.sovcloud-api.fr | -
login.sovcloud-identity.de | Delos Cloud (Germany) | login.sovcloud-identity.de | management.sovcloud-api.de | -
login.sovcloud-identity.sg | Government Cloud (Singapore) | login.sovcloud-identity.sg | - | -
contoso.ciamlogin.com | Microsoft Entra External ID | - | - | -
login.example | - | - | - | -
ciamlogin.com | - | - | - | -
login.microsoftonline.com.evil.example | - | - | - | -";

    #[test]
    fn each_login_host_leads_to_the_hosts_of_its_cloud() {
        for case in CASES.lines() {
            let host = case.split(" | ").next().unwrap_or_default();
            let cloud = Cloud::of_host(host);
            let found = [
                cloud.map(Cloud::name),
                cloud.and_then(Cloud::cache_name),
                cloud.and_then(|cloud| cloud.resource_manager().ok()).map(|manager| manager.host),
                cloud.and_then(|cloud| cloud.device_registration().ok()),
            ];
            let found = found.map(|found| found.unwrap_or("-"));
            assert_eq!(format!("{host} | {}", found.join(" | ")), case);
        }
    }

    #[test]
    fn a_host_that_is_not_known_is_an_error_that_names_the_cloud() {
        let cloud = Cloud::of_host("login.sovcloud-identity.sg").unwrap();
        for error in
            [cloud.resource_manager().unwrap_err(), cloud.device_registration().unwrap_err()]
        {
            assert!(error.message().contains("Government Cloud (Singapore)"), "{error}");
        }
    }

    #[test]
    fn no_host_is_in_two_clouds() {
        let mut seen = BTreeSet::new();
        for cloud in &CLOUDS {
            if let LoginHosts::Listed(hosts) = cloud.login_hosts {
                assert!(hosts.iter().all(|host| seen.insert(*host)), "{}", cloud.name);
            }
        }
    }

    #[test]
    fn other_providers_are_recognised_by_host_and_path() {
        use OtherProvider::{AdFs, B2c};
        for (host, path, expected) in [
            ("fs.contoso.example", &["adfs"][..], Some(AdFs)),
            ("fs.contoso.example", &["ADFS", "oauth2"], Some(AdFs)),
            ("contoso.ciamlogin.com", &["adfs"], None),
            ("contoso.b2clogin.com", &[], Some(B2c)),
            ("contoso.b2clogin.cn", &["contoso.onmicrosoft.com", "policy"], Some(B2c)),
            (
                "login.microsoftonline.com",
                &["tfp", "contoso.onmicrosoft.com", "B2C_1_SISO"],
                Some(B2c),
            ),
            ("login.contoso.example", &["contoso.onmicrosoft.com", "B2C_1_SISO"], Some(B2c)),
            ("login.microsoftonline.com", &["contoso.example"], None),
            ("notb2clogin.com", &[], None),
        ] {
            assert_eq!(OtherProvider::of(host, path), expected, "{host} {path:?}");
        }
    }
}
