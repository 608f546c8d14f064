use keybearer_core::{AccountChoice, Authority, Tenant};

use super::transport::Provider;

/// Work accounts and Microsoft accounts; the authority says which.
const MICROSOFT: &str = "https://login.microsoft.com";

/// Stands for the account the person signed in to Windows with.
const LOCAL: &str = "https://login.windows.local";

/// The directory that stands for all Microsoft accounts.
pub(super) const CONSUMERS_TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

const ORGANIZATIONS: &str = "organizations";
const CONSUMERS: &str = "consumers";

/// Which of Windows' two plug-ins serves a request: they take different properties and answer
/// differently.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Plugin {
    /// Work and school accounts.
    Work,
    /// Microsoft accounts.
    Personal,
}

impl Plugin {
    /// The plug-in for an authority and the account that is asked for.
    ///
    /// `common` leaves the choice open, and only a dialogue of a GUI program
    /// (`AccountsSettingsPane`) could ask. It counts as work accounts unless the account named is
    /// known to be personal.
    pub(super) fn of(authority: &Authority, account: &AccountChoice) -> Self {
        let personal = match authority.tenant() {
            Tenant::Organizations => false,
            Tenant::Consumers => true,
            Tenant::Id(id) => id.as_str() == CONSUMERS_TENANT,
            Tenant::Common => {
                matches!(account, AccountChoice::Exact(id) if id.utid() == CONSUMERS_TENANT)
            }
        };
        if personal { Self::Personal } else { Self::Work }
    }

    /// The plug-in behind a provider, by the authority it says it has.
    pub(super) fn of_provider(authority: &str) -> Self {
        if authority.eq_ignore_ascii_case(CONSUMERS) { Self::Personal } else { Self::Work }
    }

    /// The provider that issues for this authority: `organizations`, `consumers`, or the authority
    /// of one directory.
    pub(super) fn provider(self, authority: &Authority) -> Provider {
        let authority = match (self, authority.tenant()) {
            (Self::Personal, _) => CONSUMERS.to_owned(),
            (Self::Work, Tenant::Id(_)) => authority.to_string(),
            (Self::Work, _) => ORGANIZATIONS.to_owned(),
        };
        Provider { id: MICROSOFT, authority: Some(authority) }
    }
}

/// The provider that lists an app's work and school accounts.
pub(super) fn organizations() -> Provider {
    Provider { id: MICROSOFT, authority: Some(ORGANIZATIONS.to_owned()) }
}

/// The provider of the account the person signed in to Windows with.
pub(super) const fn local() -> Provider {
    Provider { id: LOCAL, authority: None }
}

impl Provider {
    /// Whether it stands for all directories.
    pub(super) fn is_organizations(&self) -> bool {
        self.authority.as_deref() == Some(ORGANIZATIONS)
    }
}

#[cfg(test)]
mod tests {
    use keybearer_core::HomeAccountId;

    use super::*;

    #[test]
    fn the_authority_and_the_account_decide_about_the_provider() {
        let exact = |id: &str| AccountChoice::Exact(HomeAccountId::parse(id).unwrap());
        let personal =
            exact("00000000-0000-0000-5406-48eb0b3075bb.9188040d-6c67-4c5b-b112-36a304b66dad");
        for (tenant, account, plugin, authority) in [
            ("organizations", &AccountChoice::Only, Plugin::Work, "organizations"),
            ("common", &AccountChoice::Only, Plugin::Work, "organizations"),
            ("common", &exact("oid.tid"), Plugin::Work, "organizations"),
            ("common", &personal, Plugin::Personal, "consumers"),
            ("consumers", &AccountChoice::Only, Plugin::Personal, "consumers"),
            (CONSUMERS_TENANT, &AccountChoice::Only, Plugin::Personal, "consumers"),
            (
                "contoso.example",
                &AccountChoice::Only,
                Plugin::Work,
                "https://login.microsoftonline.com/contoso.example",
            ),
        ] {
            let text = format!("https://login.microsoftonline.com/{tenant}");
            let wanted = Authority::parse(&text).unwrap();
            assert_eq!(Plugin::of(&wanted, account), plugin, "{tenant}");
            let provider = plugin.provider(&wanted);
            assert_eq!((provider.id, provider.authority.as_deref()), (MICROSOFT, Some(authority)));
        }
    }
}
