//! The directory: lookups in the fixture, and the tenant that the path of a request names.

use crate::server::entra_error::EntraError;
use crate::server::fixture::{App, Fixture, Resource, Tenant, User};

/// Tenant of personal Microsoft accounts.
const CONSUMERS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// The first segment of an endpoint's path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Authority {
    /// `common`: any account; the tenant is the user's home tenant.
    Common,
    Consumers,
    /// `organizations`: any work account; the tenant is the user's home tenant.
    Organizations,
    /// A tenant's id.
    Tenant(String),
}

impl Authority {
    /// The path segment of endpoints. It is the tenant's id also if the request named its domain.
    pub(crate) fn segment(&self) -> &str {
        match self {
            Self::Common => "common",
            Self::Consumers => CONSUMERS,
            Self::Organizations => "organizations",
            Self::Tenant(id) => id,
        }
    }

    /// The tenant that issues tokens for `user` at this authority.
    pub(crate) fn tenant_for<'a>(&'a self, user: &'a User) -> &'a str {
        match self {
            Self::Common | Self::Organizations => &user.tenant,
            Self::Consumers => CONSUMERS,
            Self::Tenant(id) => id,
        }
    }
}

/// The immutable part of the state.
pub(crate) struct Directory {
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) users: Vec<User>,
    pub(crate) apps: Vec<App>,
    pub(crate) resources: Vec<Resource>,
}

impl Directory {
    pub(crate) fn new(fixture: &Fixture) -> Self {
        Self {
            tenants: fixture.tenants.clone(),
            users: fixture.users.clone(),
            apps: fixture.apps.clone(),
            resources: fixture.resources.clone(),
        }
    }

    /// Parses the path segment of the tenant: a GUID, a domain, `common`, `organizations` or `consumers`.
    pub(crate) fn authority(&self, segment: &str) -> Result<Authority, EntraError> {
        match segment.to_ascii_lowercase().as_str() {
            "common" => Ok(Authority::Common),
            "organizations" => Ok(Authority::Organizations),
            "consumers" | CONSUMERS => Ok(Authority::Consumers),
            name => {
                let tenant = self.tenants.iter().find(|tenant| {
                    tenant.id == name || tenant.domains.iter().any(|domain| domain == name)
                });
                let tenant = tenant.ok_or_else(|| EntraError::unknown_tenant(segment))?;
                Ok(Authority::Tenant(tenant.id.clone()))
            }
        }
    }

    pub(crate) fn tenant(&self, id: &str) -> Option<&Tenant> {
        self.tenants.iter().find(|tenant| tenant.id == id)
    }

    /// The tenant's display name; its id if the directory has no such tenant.
    pub(crate) fn tenant_name<'a>(&'a self, id: &'a str) -> &'a str {
        self.tenant(id).map_or(id, |tenant| &tenant.name)
    }

    /// The user with this sign-in name, in any case.
    pub(crate) fn user(&self, upn: &str) -> Option<&User> {
        self.users.iter().find(|user| user.upn.eq_ignore_ascii_case(upn.trim()))
    }

    pub(crate) fn app(&self, client_id: &str) -> Option<&App> {
        self.apps.iter().find(|app| app.client_id.eq_ignore_ascii_case(client_id))
    }

    pub(crate) fn resource(&self, uri: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.is_named(uri))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_is_named_by_id_domain_or_word() {
        let directory = Directory::new(&Fixture::load(None).unwrap());
        let contoso = "6d8f2c1e-3b64-4f0a-9c57-1f2e8a7b9d01";
        let cases = [
            (contoso, Some(contoso)),
            ("CONTOSO.example", Some(contoso)),
            ("common", Some("common")),
            ("organizations", Some("organizations")),
            ("consumers", Some(CONSUMERS)),
            ("nowhere.example", None),
        ];
        for (segment, expected) in cases {
            let authority = directory.authority(segment);
            assert_eq!(authority.as_ref().ok().map(Authority::segment), expected);
        }
    }
}
