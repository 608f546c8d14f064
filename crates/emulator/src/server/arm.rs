//! The two requests to Azure Resource Manager that sign-in programs make: tenants and subscriptions.

use serde_json::{Value, json};

use crate::server::bearer::{Bearer, Unacceptable};
use crate::server::endpoint_request::EndpointRequest;
use crate::server::reply::Reply;
use crate::server::state::EmulatorState;

const RESOURCE: &str = "https://management.azure.com";

/// `GET /tenants`: the tenants of which the user is a member or a guest.
pub(crate) fn tenants(state: &EmulatorState, received: &EndpointRequest) -> Reply {
    answer(state, received, |state, bearer| {
        let known = state
            .directory
            .tenants
            .iter()
            .filter(|tenant| bearer.user.oid_in(&tenant.id).is_some());
        known
            .map(|tenant| {
                let home = bearer.user.tenant == tenant.id;
                json!({
                    "id": format!("/tenants/{}", tenant.id),
                    "tenantId": tenant.id,
                    "tenantCategory": if home { "Home" } else { "ProjectedBy" },
                    "displayName": tenant.name,
                    "defaultDomain": tenant.domains.first(),
                    "domains": tenant.domains,
                    "tenantType": "AAD",
                })
            })
            .collect()
    })
}

/// `GET /subscriptions`: the subscription of the token's tenant.
pub(crate) fn subscriptions(state: &EmulatorState, received: &EndpointRequest) -> Reply {
    answer(state, received, |state, bearer| {
        let tenant = state.directory.tenant(&bearer.tenant);
        tenant
            .map(|tenant| {
                json!({
                    "id": format!("/subscriptions/{}", tenant.subscription),
                    "authorizationSource": "RoleBased",
                    "managedByTenants": [],
                    "subscriptionId": tenant.subscription,
                    "tenantId": tenant.id,
                    "displayName": format!("{} development", tenant.name),
                    "state": "Enabled",
                    "subscriptionPolicies": {
                        "locationPlacementId": "Internal_2014-09-01",
                        "quotaId": "Internal_2014-09-01",
                        "spendingLimit": "Off",
                    },
                })
            })
            .into_iter()
            .collect()
    })
}

fn answer(
    state: &EmulatorState,
    received: &EndpointRequest,
    list: impl Fn(&EmulatorState, &Bearer<'_>) -> Vec<Value>,
) -> Reply {
    match Bearer::of(state, received, RESOURCE) {
        Ok(bearer) => {
            let list = list(state, &bearer);
            Reply::json(
                &json!({"count": {"type": "Total", "value": list.len()}, "value": list}),
                "list",
            )
        }
        Err(why) => refuse(state, why),
    }
}

fn refuse(state: &EmulatorState, why: Unacceptable) -> Reply {
    let code = match why {
        Unacceptable::Missing => "AuthenticationFailed",
        Unacceptable::Expired => "ExpiredAuthenticationToken",
        Unacceptable::Audience => "InvalidAuthenticationTokenAudience",
        Unacceptable::Issuer => "InvalidAuthenticationTokenTenant",
        Unacceptable::Bound
        | Unacceptable::NotYetValid
        | Unacceptable::Signature
        | Unacceptable::Subject => "InvalidAuthenticationToken",
    };
    let message = format!("The access token is not accepted: {why:?}.");
    let challenge = format!(
        "Bearer authorization_uri=\"{}/common\", error=\"invalid_token\", error_description=\"{message}\"",
        state.authority_host
    );
    Reply::json(&json!({"error": {"code": code, "message": message}}), code)
        .with_status(401)
        .with("www-authenticate", &challenge)
}
