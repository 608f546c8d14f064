//! The conditions of resources for access tokens.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::server::claims::Claims;
use crate::server::fixture::Resource;

/// A policy, as `POST /emulator/policies` and `[[policies]]` write it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    /// The resource's URI or one of its aliases.
    pub(crate) resource: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) upn: Option<String>,
    pub(crate) require: Requirement,
    /// For `require = "claims"`: the challenge, a claims object. Default: authentication context `c1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) claims: Option<Value>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Requirement {
    /// The resource sends a claims challenge until it gets a token with the claims.
    Claims,
    /// Entra issues tokens only after an interactive sign-in with the extra approval.
    Mfa,
}

/// The resource, app and user of a token.
pub(crate) struct Access<'a> {
    /// The resource's own URI, not an alias.
    pub(crate) resource: &'a Resource,
    pub(crate) client_id: &'a str,
    pub(crate) upn: &'a str,
}

/// The claims of an access token that show how it was obtained.
pub(crate) struct Evidence<'a> {
    pub(crate) contexts: &'a [String],
    pub(crate) not_before: i64,
}

/// The policies that apply now.
#[derive(Debug, Default)]
pub(crate) struct Policies(pub(crate) Vec<Policy>);

impl Policies {
    pub(crate) fn requires_mfa(&self, access: &Access<'_>) -> bool {
        self.applying(access).any(|policy| policy.require == Requirement::Mfa)
    }

    /// The claims that the resource requires, if the evidence does not satisfy them.
    pub(crate) fn challenge(&self, access: &Access<'_>, evidence: &Evidence<'_>) -> Option<Claims> {
        self.applying(access)
            .filter(|policy| policy.require == Requirement::Claims)
            .filter_map(Policy::required_claims)
            .find(|claims| !satisfied(claims, evidence))
    }

    fn applying<'a>(&'a self, access: &'a Access<'_>) -> impl Iterator<Item = &'a Policy> {
        self.0.iter().filter(|policy| {
            access.resource.is_named(&policy.resource)
                && policy.client_id.as_deref().is_none_or(|id| id == access.client_id)
                && policy.upn.as_deref().is_none_or(|upn| upn.eq_ignore_ascii_case(access.upn))
        })
    }
}

impl Policy {
    /// Whether the policy can apply: its resource exists, and its claims are a claims object.
    pub(crate) fn is_sound(&self, resources: &[Resource]) -> bool {
        resources.iter().any(|resource| resource.is_named(&self.resource))
            && self.required_claims().is_some()
    }

    fn required_claims(&self) -> Option<Claims> {
        match &self.claims {
            Some(value) => Claims::from_value(value),
            None => {
                Claims::parse(r#"{"access_token":{"acrs":{"essential":true,"value":"c1"}}}"#).ok()
            }
        }
    }
}

fn satisfied(claims: &Claims, evidence: &Evidence<'_>) -> bool {
    claims.contexts().iter().all(|context| evidence.contexts.contains(context))
        && claims.not_before().is_none_or(|time| evidence.not_before >= time)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::server::fixture::Fixture;

    #[test]
    fn policy_applies_to_its_resource_under_any_name_and_to_its_user_and_app() {
        let fixture = Fixture::load(None).unwrap();
        let arm = fixture.resources.iter().find(|r| r.is_named("https://management.azure.com"));
        let access =
            Access { resource: arm.unwrap(), client_id: "app", upn: "dev@contoso.example" };
        let cases = [
            (json!({"resource": "https://management.core.windows.net/", "require": "mfa"}), true),
            (json!({"resource": "https://storage.azure.com", "require": "mfa"}), false),
            (json!({"resource": "https://management.azure.com", "require": "claims"}), false),
            (
                json!({"resource": "https://management.azure.com", "upn": "DEV@contoso.example", "require": "mfa"}),
                true,
            ),
            (
                json!({"resource": "https://management.azure.com", "client_id": "other", "require": "mfa"}),
                false,
            ),
        ];
        for (policy, applies) in cases {
            let policies = Policies(vec![serde_json::from_value(policy.clone()).unwrap()]);
            assert_eq!(policies.requires_mfa(&access), applies, "{policy}");
        }
    }

    #[test]
    fn challenge_stands_until_the_token_shows_what_it_wants() {
        let fixture = Fixture::load(None).unwrap();
        let access = Access { resource: &fixture.resources[0], client_id: "app", upn: "dev" };
        let policy = |claims| Policy {
            resource: "https://storage.azure.com".into(),
            client_id: None,
            upn: None,
            require: Requirement::Claims,
            claims,
        };
        let nbf = json!({"access_token": {"nbf": {"essential": true, "value": "100"}}});
        let cases = [
            (None, vec![], 0, true),
            (None, vec!["c1".to_owned()], 0, false),
            (Some(nbf.clone()), vec![], 99, true),
            (Some(nbf), vec![], 100, false),
        ];
        for (claims, contexts, not_before, challenged) in cases {
            let evidence = Evidence { contexts: &contexts, not_before };
            let policies = Policies(vec![policy(claims)]);
            assert_eq!(policies.challenge(&access, &evidence).is_some(), challenged);
        }
    }
}
