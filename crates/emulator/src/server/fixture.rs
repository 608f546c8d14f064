//! The state the emulator starts with: tenants, users, apps, resources, policies, faults, containers.

use serde::Deserialize;

use crate::server::error::Error;
use crate::server::faults::InjectedFault;
use crate::server::policies::Policy;

/// The content of a fixture file. [`Fixture::overlaid`] lays a file over the built-in one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Fixture {
    pub(crate) lifetimes: Option<Lifetimes>,
    pub(crate) blob: Option<BlobAccount>,
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) users: Vec<User>,
    pub(crate) apps: Vec<App>,
    pub(crate) resources: Vec<Resource>,
    pub(crate) policies: Vec<Policy>,
    pub(crate) faults: Vec<InjectedFault>,
}

impl Fixture {
    /// The fixture that ships with the emulator, with `file` (TOML text) laid over it.
    pub(crate) fn load(file: Option<&str>) -> Result<Self, Error> {
        let built_in: Self = parse(include_str!("../../fixture.toml"))?;
        let fixture = match file {
            Some(text) => built_in.overlaid(parse(text)?),
            None => built_in,
        };
        fixture.check()?;
        Ok(fixture)
    }

    /// Adds `other`'s entries to these; an entry with the same key replaces the one here.
    fn overlaid(self, other: Self) -> Self {
        Self {
            lifetimes: other.lifetimes.or(self.lifetimes),
            blob: other.blob.or(self.blob),
            tenants: replaced_by_key(self.tenants, other.tenants, |tenant| &tenant.id),
            users: replaced_by_key(self.users, other.users, |user| &user.upn),
            apps: replaced_by_key(self.apps, other.apps, |app| &app.client_id),
            resources: replaced_by_key(self.resources, other.resources, |resource| &resource.uri),
            policies: [self.policies, other.policies].concat(),
            faults: [self.faults, other.faults].concat(),
        }
    }

    /// Checks that every tenant and resource that an entry names exists.
    fn check(&self) -> Result<(), Error> {
        let named = self
            .users
            .iter()
            .flat_map(|user| {
                let guest = user.guest_in.iter().map(|membership| &membership.tenant);
                guest.chain([&user.tenant])
            })
            .chain(self.blob.iter().map(|blob| &blob.tenant));
        for id in named {
            if !self.tenants.iter().any(|tenant| tenant.id == *id) {
                return Err(Error::Fixture(format!("tenant {id} is named but not defined")));
            }
        }
        if let Some(policy) = self.policies.iter().find(|policy| !policy.is_sound(&self.resources))
        {
            return Err(Error::Fixture(format!(
                "policy for {}: unknown resource, or claims that are none",
                policy.resource
            )));
        }
        Ok(())
    }
}

/// Lifetimes, in seconds of the emulator's clock.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Lifetimes {
    pub(crate) access_token_seconds: i64,
    pub(crate) authorization_code_seconds: i64,
    pub(crate) device_code_seconds: i64,
    pub(crate) refresh_token_seconds: i64,
    pub(crate) poll_interval_seconds: i64,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            access_token_seconds: 3600,
            authorization_code_seconds: 600,
            device_code_seconds: 900,
            refresh_token_seconds: 90 * 24 * 3600,
            poll_interval_seconds: 1,
        }
    }
}

/// The storage account; there is one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BlobAccount {
    /// The tenant whose tokens it accepts.
    pub(crate) tenant: String,
    #[serde(default)]
    pub(crate) containers: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tenant {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) domains: Vec<String>,
    /// The subscription that Azure Resource Manager lists for members of the tenant.
    pub(crate) subscription: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    pub(crate) upn: String,
    pub(crate) name: String,
    pub(crate) password: String,
    /// The home tenant's id.
    pub(crate) tenant: String,
    /// The object id in the home tenant.
    pub(crate) oid: String,
    #[serde(default)]
    pub(crate) guest_in: Vec<Membership>,
    pub(crate) blob_role: Option<BlobRole>,
}

impl User {
    /// The object id of this user in `tenant`, if the user is a member or a guest there.
    pub(crate) fn oid_in(&self, tenant: &str) -> Option<&str> {
        if self.tenant == tenant {
            return Some(&self.oid);
        }
        let membership = self.guest_in.iter().find(|membership| membership.tenant == tenant)?;
        Some(&membership.oid)
    }
}

/// A user's guest account in another tenant than the home tenant.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Membership {
    pub(crate) tenant: String,
    pub(crate) oid: String,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BlobRole {
    Contributor,
    Reader,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct App {
    pub(crate) client_id: String,
    pub(crate) name: String,
    pub(crate) redirect_uris: Vec<String>,
    /// Whether the app belongs to the family of client ids that share refresh tokens (`foci`).
    #[serde(default)]
    pub(crate) family: bool,
    /// Whether the app needs no consent, like Microsoft's own apps.
    #[serde(default)]
    pub(crate) preauthorized: bool,
}

/// An API that tokens are issued for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resource {
    pub(crate) uri: String,
    #[serde(default)]
    pub(crate) aliases: Vec<String>,
    pub(crate) name: String,
    /// 1: tokens have the issuer `sts.windows.net` and `appid`; 2: the authority's issuer and `azp`.
    pub(crate) token_version: u8,
    pub(crate) scopes: Vec<String>,
}

impl Resource {
    /// Whether `uri`, with or without a final slash, names this resource.
    pub(crate) fn is_named(&self, uri: &str) -> bool {
        let uri = uri.strip_suffix('/').unwrap_or(uri);
        self.uri == uri || self.aliases.iter().any(|alias| alias == uri)
    }
}

fn parse(text: &str) -> Result<Fixture, Error> {
    toml::from_str(text).map_err(|error| Error::Fixture(error.to_string()))
}

fn replaced_by_key<T>(mut old: Vec<T>, new: Vec<T>, key: impl Fn(&T) -> &String) -> Vec<T> {
    for entry in new {
        match old.iter_mut().find(|present| key(present) == key(&entry)) {
            Some(present) => *present = entry,
            None => old.push(entry),
        }
    }
    old
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_fixture_has_three_users_in_its_first_tenant() {
        let fixture = Fixture::load(None).unwrap();
        let tenant = &fixture.tenants[0].id;
        let members = fixture.users.iter().filter(|user| user.oid_in(tenant).is_some());
        assert_eq!(members.count(), 3);
    }

    #[test]
    fn file_replaces_the_entry_with_the_same_key_and_adds_others() {
        let file = r#"
            [blob]
            tenant = "6d8f2c1e-3b64-4f0a-9c57-1f2e8a7b9d01"
            containers = ["gamma"]
            [[users]]
            upn = "ops@contoso.example"
            name = "Ops"
            password = "other"
            tenant = "6d8f2c1e-3b64-4f0a-9c57-1f2e8a7b9d01"
            oid = "11111111-aaaa-4bbb-8ccc-000000000002"
            blob_role = "contributor"
            [[policies]]
            resource = "https://storage.azure.com"
            require = "mfa"
        "#;
        let fixture = Fixture::load(Some(file)).unwrap();
        assert_eq!(fixture.users.len(), 3);
        assert_eq!(fixture.users[1].blob_role, Some(BlobRole::Contributor));
        assert_eq!(fixture.blob.unwrap().containers, ["gamma"]);
        assert_eq!(fixture.policies.len(), 1);
    }

    #[test]
    fn file_with_an_unknown_field_tenant_or_resource_is_refused() {
        assert!(Fixture::load(Some("surprise = 1")).is_err());
        assert!(Fixture::load(Some("[blob]\ntenant = \"nowhere\"")).is_err());
        let policy = "[[policies]]\nresource = \"https://nowhere.example\"\nrequire = \"mfa\"";
        assert!(Fixture::load(Some(policy)).is_err());
    }
}
