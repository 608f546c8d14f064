//! Which directory a request is for, by the rules of Azure's credentials.

use keybearer_core::{Error, Result, Tenant};

/// What the credential allows.
#[derive(Clone, Copy)]
pub(crate) struct Allowed<'a> {
    /// The credential's own directory.
    pub(crate) own: &'a Tenant,
    /// The others, `*` for any.
    pub(crate) additionally: &'a [String],
    /// `AZURE_IDENTITY_DISABLE_MULTITENANTAUTH` is set: requests' directories are ignored.
    pub(crate) single: bool,
}

/// The directory to ask: the request's if allowed, else the credential's own.
pub(crate) fn resolve(allowed: Allowed<'_>, requested: Option<&str>) -> Result<Tenant> {
    let Some(requested) = requested.filter(|tenant| !tenant.is_empty()) else {
        return Ok(allowed.own.clone());
    };
    let tenant = Tenant::parse(requested)?;
    if tenant == *allowed.own || allowed.single {
        return Ok(allowed.own.clone());
    }
    let listed = allowed.additionally.iter();
    let open = allowed.additionally.is_empty() && allowed.own.id().is_none();
    if open || listed.into_iter().any(|one| one == "*" || one.eq_ignore_ascii_case(requested)) {
        return Ok(tenant);
    }
    Err(Error::invalid_request(
        "tenant_id",
        format!("this credential is not configured to acquire tokens for tenant {tenant}"),
    )
    .with_hint("add the tenant to additionally_allowed_tenants, or '*' to allow any"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_may_name_only_directories_the_credential_allows() {
        let own = Tenant::parse("contoso.example").unwrap();
        let any = ["*".to_owned()];
        let other = ["Fabrikam.Example".to_owned()];
        let cases = [
            (&own, &[][..], "", Some("contoso.example")),
            (&own, &[], "CONTOSO.example", Some("contoso.example")),
            (&own, &[], "fabrikam.example", None),
            (&own, &other, "fabrikam.example", Some("fabrikam.example")),
            (&own, &any, "anything.example", Some("anything.example")),
            (&Tenant::Organizations, &[], "fabrikam.example", Some("fabrikam.example")),
            (&Tenant::Organizations, &other, "else.example", None),
        ];
        for (own, additionally, requested, expected) in cases {
            let allowed = Allowed { own, additionally, single: false };
            let resolved = resolve(allowed, Some(requested)).ok();
            assert_eq!(resolved.as_ref().map(Tenant::as_str), expected, "{requested:?}");
        }
    }

    #[test]
    fn with_multitenant_authentication_disabled_the_own_directory_is_asked() {
        let own = Tenant::parse("contoso.example").unwrap();
        let allowed = Allowed { own: &own, additionally: &[], single: true };
        assert_eq!(resolve(allowed, Some("fabrikam.example")).unwrap(), own);
    }
}
