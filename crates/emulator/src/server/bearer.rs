//! How a resource checks an access token.

use serde_json::Value;

use crate::server::endpoint_request::EndpointRequest;
use crate::server::fixture::{Resource, User};
use crate::server::state::EmulatorState;

/// The caller that a valid token identifies.
pub(crate) struct Bearer<'a> {
    pub(crate) user: &'a User,
    pub(crate) tenant: String,
    pub(crate) client_id: String,
    pub(crate) resource: &'a Resource,
    pub(crate) contexts: Vec<String>,
    pub(crate) not_before: i64,
    /// Whether the client declared that it understands claims challenges.
    pub(crate) takes_challenges: bool,
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unacceptable {
    Audience,
    /// The token is bound to a key, and the request does not prove possession of that key.
    Bound,
    Expired,
    Issuer,
    Missing,
    NotYetValid,
    Signature,
    Subject,
}

impl<'a> Bearer<'a> {
    /// The caller, if the request contains a token for the resource with this URI.
    pub(crate) fn of(
        state: &'a EmulatorState,
        received: &EndpointRequest,
        uri: &str,
    ) -> Result<Self, Unacceptable> {
        let token = received.bearer().ok_or(Unacceptable::Missing)?;
        let claims = state.keys.verify(token).ok_or(Unacceptable::Signature)?;
        if !claims["cnf"].is_null() {
            return Err(Unacceptable::Bound);
        }
        Self::from_claims(state, &claims, uri, received.now())
    }

    /// The caller of a bound token, if the sender has proved possession of its key.
    pub(crate) fn with_proof(
        state: &'a EmulatorState,
        claims: &Value,
        uri: &str,
        now: i64,
    ) -> Result<Self, Unacceptable> {
        Self::from_claims(state, claims, uri, now)
    }

    fn from_claims(
        state: &'a EmulatorState,
        claims: &Value,
        uri: &str,
        now: i64,
    ) -> Result<Self, Unacceptable> {
        let text = |name: &str| claims[name].as_str();
        let list = |name: &str| -> Vec<String> {
            let values = claims[name].as_array().into_iter().flatten();
            values.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let audience = text("aud").and_then(|audience| state.directory.resource(audience));
        let resource =
            audience.filter(|resource| resource.is_named(uri)).ok_or(Unacceptable::Audience)?;
        let not_before = claims["nbf"].as_i64().ok_or(Unacceptable::NotYetValid)?;
        if not_before > now {
            return Err(Unacceptable::NotYetValid);
        }
        if claims["exp"].as_i64().is_none_or(|expires| expires <= now) {
            return Err(Unacceptable::Expired);
        }
        let tenant = text("tid").ok_or(Unacceptable::Issuer)?;
        if text("iss") != Some(&format!("https://sts.windows.net/{tenant}/")) {
            return Err(Unacceptable::Issuer);
        }
        let user = text("oid").and_then(|oid| {
            state.directory.users.iter().find(|user| user.oid_in(tenant) == Some(oid))
        });
        Ok(Self {
            user: user.ok_or(Unacceptable::Subject)?,
            tenant: tenant.to_owned(),
            client_id: text("appid").ok_or(Unacceptable::Subject)?.to_owned(),
            resource,
            contexts: list("acrs"),
            not_before,
            takes_challenges: list("xms_cc").iter().any(|value| value.eq_ignore_ascii_case("cp1")),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ready::ReadyPorts;
    use crate::server::fixture::Fixture;
    use crate::server::host_names::HostNames;

    #[test]
    fn token_that_is_wrong_in_one_claim_is_refused_for_that_claim() {
        let fixture = Fixture::load(None).unwrap();
        let (tenant, oid) = (fixture.tenants[0].id.clone(), fixture.users[0].oid.clone());
        let state =
            EmulatorState::new(fixture, HostNames::Loopback, ReadyPorts { authority: 1, blob: 2 })
                .unwrap();
        let good = json!({
            "aud": "https://storage.azure.com/", "iss": format!("https://sts.windows.net/{tenant}/"),
            "tid": tenant, "oid": oid, "appid": "app", "nbf": 100, "exp": 200,
        });
        let cases = [
            ("aud", json!("https://storage.azure.com/"), None),
            ("aud", json!("https://management.azure.com"), Some(Unacceptable::Audience)),
            ("aud", json!(["https://storage.azure.com"]), Some(Unacceptable::Audience)),
            (
                "iss",
                json!(format!("https://localhost:1/{tenant}/v2.0")),
                Some(Unacceptable::Issuer),
            ),
            ("tid", json!("other"), Some(Unacceptable::Issuer)),
            ("oid", json!("unknown"), Some(Unacceptable::Subject)),
            ("appid", json!(null), Some(Unacceptable::Subject)),
            ("nbf", json!(151), Some(Unacceptable::NotYetValid)),
            ("exp", json!(150), Some(Unacceptable::Expired)),
            ("exp", json!(null), Some(Unacceptable::Expired)),
        ];
        for (name, value, expected) in cases {
            let mut claims = good.clone();
            claims[name] = value;
            let outcome = Bearer::from_claims(&state, &claims, "https://storage.azure.com", 150);
            assert_eq!(outcome.err(), expected, "{name}");
        }
    }
}
