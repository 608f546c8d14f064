use std::time::Duration;

use clap::Args;
use keybearer_client::{AZURE_DEVELOPER_APP, deadline_after};
use keybearer_core::{
    AccountChoice, AccountsRequest, Authority, AuthorityHost, Caller, Capabilities, Claims,
    ClientId, CorrelationId, Deadline, Result, ScopeSet, Tenant, TokenParameters,
};
use keybearer_engine::Random;
use keybearer_host::SystemRandom;

/// The issuer of tokens, and the app they are issued to.
#[derive(Args, Clone, Debug)]
pub(crate) struct Target {
    /// Directory: a GUID, a domain, organizations, common or consumers [default: organizations]
    #[arg(long, value_name = "TENANT", env = "AZURE_TENANT_ID", hide_env_values = true)]
    pub(crate) tenant: Option<String>,
    /// Host of the sign-in service
    #[arg(long, value_name = "HOST", env = "AZURE_AUTHORITY_HOST", hide_env_values = true)]
    #[arg(default_value = "https://login.microsoftonline.com")]
    pub(crate) authority: String,
    /// Client id of the app registration [default: Microsoft's app for Azure developer tools]
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: Option<String>,
}

/// The time limit of a command.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// Fail after this many seconds, including the sign-in
    #[arg(long = "timeout", value_name = "SECS", default_value_t = 300)]
    seconds: u32,
}

impl Limit {
    fn deadline(self) -> Deadline {
        deadline_after(Duration::from_secs(self.seconds.into()))
    }
}

impl Target {
    /// Builds a request for a token for these scopes.
    pub(crate) fn request(
        &self,
        scopes: &[String],
        account: AccountChoice,
        claims: Option<&str>,
        limit: Limit,
    ) -> Result<TokenParameters> {
        // An empty environment variable counts as unset.
        let host = match self.authority.as_str() {
            "" => AuthorityHost::public_cloud(),
            authority => AuthorityHost::parse(authority)?,
        };
        let tenant = match self.tenant.as_deref() {
            None | Some("") => host.default_tenant(),
            Some(tenant) => Tenant::parse(tenant)?,
        };
        let client_id = ClientId::parse(self.client_id.as_deref().unwrap_or(AZURE_DEVELOPER_APP))?;
        let scopes = match scopes {
            [] => default_scopes(&client_id, &host)?,
            scopes => ScopeSet::parse(scopes)?,
        };
        Ok(TokenParameters {
            authority: Authority::new(host, tenant),
            client_id,
            redirect_uri: None,
            scopes,
            account,
            claims: claims.map_or(Ok(None), Claims::parse)?,
            capabilities: Capabilities::default(),
            access_token_to_renew: None,
            proof_of_possession: None,
            extra_query: Default::default(),
            correlation_id: correlation_id(),
            deadline: limit.deadline(),
            caller: Caller::in_process(),
        })
    }
}

/// The scopes of a sign-in without `--scope`: Azure Resource Manager for Microsoft's developer app,
/// which has permission in every directory, and Graph's `User.Read` for other apps, which every new
/// app registration has. If the cloud's Resource Manager is not known, the sign-in is for no resource.
fn default_scopes(client_id: &ClientId, host: &AuthorityHost) -> Result<ScopeSet> {
    if client_id.as_str() != AZURE_DEVELOPER_APP {
        return ScopeSet::parse(&["User.Read"]);
    }
    match host.resource_manager() {
        Ok(manager) => ScopeSet::parse(&[format!("https://{}/.default", manager.host)]),
        Err(_) => Ok(ScopeSet::sign_in()),
    }
}

/// Builds a request for the connected accounts.
pub(crate) fn accounts(limit: Duration) -> AccountsRequest {
    let deadline = deadline_after(limit);
    AccountsRequest { client_id: None, correlation_id: correlation_id(), deadline }
}

/// Makes the id of one command, for these logs and the server's.
pub(crate) fn correlation_id() -> CorrelationId {
    let mut bytes = [0; 16];
    SystemRandom.fill(&mut bytes);
    CorrelationId::from_random(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(tenant: &str, authority: &str, client_id: Option<&str>) -> Target {
        let client_id = client_id.map(str::to_owned);
        Target { tenant: Some(tenant.into()), authority: authority.into(), client_id }
    }

    #[test]
    fn without_scopes_a_person_only_signs_in_where_the_resource_manager_is_not_known() {
        for authority in ["localhost:8443", "login.sovcloud-identity.sg", "contoso.ciamlogin.com"] {
            let target = target("", authority, None);
            let limit = Limit { seconds: 1 };
            let request = target.request(&[], AccountChoice::Only, None, limit).unwrap();
            assert_eq!(request.scopes, ScopeSet::sign_in(), "{authority}");
        }
    }

    #[test]
    fn without_scopes_a_sign_in_asks_for_what_the_app_may_use_in_its_cloud() {
        for (authority, client_id, scope) in [
            ("", None, "https://management.azure.com/.default"),
            ("login.chinacloudapi.cn", None, "https://management.chinacloudapi.cn/.default"),
            ("login.microsoftonline.us", None, "https://management.usgovcloudapi.net/.default"),
            ("login.sovcloud-identity.fr", None, "https://management.sovcloud-api.fr/.default"),
            ("localhost:8443", Some("11111111-1111-1111-1111-111111111111"), "User.Read"),
            ("", Some("11111111-1111-1111-1111-111111111111"), "User.Read"),
        ] {
            let target = target("", authority, client_id);
            let limit = Limit { seconds: 1 };
            let request = target.request(&[], AccountChoice::Only, None, limit).unwrap();
            assert_eq!(request.scopes.to_string(), scope);
            assert_eq!(*request.authority.tenant(), Tenant::Organizations);
            assert!(!request.correlation_id.is_empty());
        }
    }
}
