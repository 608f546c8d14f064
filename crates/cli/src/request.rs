use std::time::Duration;

use clap::Args;
use keybearer_client::{AZURE_DEVELOPER_APP, deadline_after};
use keybearer_core::{
    AccountChoice, AccountsRequest, Authority, AuthorityHost, Caller, Capabilities, Claims,
    ClientId, CorrelationId, Deadline, Result, ScopeSet, Tenant, TokenParameters,
};
use keybearer_engine::Random;
use keybearer_host::SystemRandom;

/// For whom tokens are issued, and by whom.
#[derive(Args, Clone, Debug)]
pub(crate) struct Target {
    /// Directory: a GUID, a domain, organizations, common or consumers
    #[arg(long, value_name = "TENANT", env = "AZURE_TENANT_ID", hide_env_values = true)]
    #[arg(default_value = "organizations")]
    pub(crate) tenant: String,
    /// Host that issues tokens
    #[arg(long, value_name = "HOST", env = "AZURE_AUTHORITY_HOST", hide_env_values = true)]
    #[arg(default_value = "https://login.microsoftonline.com")]
    pub(crate) authority: String,
    /// App registration [default: Microsoft's app for Azure developer tools]
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: Option<String>,
}

/// How long a command may take.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// Give up after this many seconds, a person's sign-in included
    #[arg(long = "timeout", value_name = "SECS", default_value_t = 300)]
    seconds: u32,
}

impl Limit {
    fn deadline(self) -> Deadline {
        deadline_after(Duration::from_secs(self.seconds.into()))
    }
}

impl Target {
    /// A request for a token of these scopes.
    pub(crate) fn request(
        &self,
        scopes: &[String],
        account: AccountChoice,
        claims: Option<&str>,
        limit: Limit,
    ) -> Result<TokenParameters> {
        // A variable that is set to nothing is as good as not set.
        let given = |text: &str, default: &str| {
            if text.is_empty() { default.to_owned() } else { text.to_owned() }
        };
        let host = AuthorityHost::parse(&given(&self.authority, "login.microsoftonline.com"))?;
        let tenant = Tenant::parse(&given(&self.tenant, "organizations"))?;
        let client_id = ClientId::parse(self.client_id.as_deref().unwrap_or(AZURE_DEVELOPER_APP))?;
        let scopes = match scopes {
            [] => ScopeSet::parse(&[sign_in_scope(&client_id, &host)])?,
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

/// What to sign in for when nothing is named: Azure's management for Microsoft's developer app,
/// which may use it everywhere, and Graph's `User.Read` for others, which every app
/// registration has from the start.
fn sign_in_scope(client_id: &ClientId, host: &AuthorityHost) -> &'static str {
    if client_id.as_str() != AZURE_DEVELOPER_APP {
        return "User.Read";
    }
    match host.environment() {
        "login.partner.microsoftonline.cn" => "https://management.chinacloudapi.cn/.default",
        "login.microsoftonline.us" => "https://management.usgovcloudapi.net/.default",
        _ => "https://management.azure.com/.default",
    }
}

/// Asks for the connected accounts.
pub(crate) fn accounts(limit: Duration) -> AccountsRequest {
    let deadline = deadline_after(limit);
    AccountsRequest { client_id: None, correlation_id: correlation_id(), deadline }
}

/// The id of one command's work, here and in the server's logs.
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
        Target { tenant: tenant.into(), authority: authority.into(), client_id }
    }

    #[test]
    fn without_scopes_a_sign_in_asks_for_what_the_app_may_use_in_its_cloud() {
        for (authority, client_id, scope) in [
            ("", None, "https://management.azure.com/.default"),
            ("login.chinacloudapi.cn", None, "https://management.chinacloudapi.cn/.default"),
            ("login.microsoftonline.us", None, "https://management.usgovcloudapi.net/.default"),
            ("localhost:8443", None, "https://management.azure.com/.default"),
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
