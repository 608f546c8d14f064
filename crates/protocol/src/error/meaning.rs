use keybearer_core::Denial;

/// The kind of error that a provider's code stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Meaning {
    Interaction,
    Denied(Denial),
    Invalid(&'static str),
    Transient,
    TimedOut,
}

/// Returns the meaning of an error, and the hint. A listed `AADSTS` code takes precedence over the
/// OAuth error, because it is more specific.
pub(super) fn of(code: Option<u32>, error: Option<&str>) -> (Meaning, &'static str) {
    let by_code = || code.and_then(|code| CODES.iter().find(|row| row.0 == code));
    let by_error = || error.and_then(|error| ERRORS.iter().find(|row| row.0 == error));
    by_code().map(|row| (row.1, row.2)).or_else(|| by_error().map(|row| (row.1, row.2))).unwrap_or(
        (Denied(Server), "ask the directory's administrator, and give them the code and the ids"),
    )
}

use Denial::{Configuration, Person, Server};
use Meaning::{Denied, Interaction, Invalid, TimedOut, Transient};

/// By `AADSTS` code.
pub(super) const CODES: &[(u32, Meaning, &str)] = &[
    (50001, Invalid("scopes"), RESOURCE),
    (500011, Invalid("scopes"), RESOURCE),
    (500014, Denied(Configuration), "ask an administrator to enable the resource in the directory"),
    (50011, Denied(Configuration), REDIRECT),
    (500113, Denied(Configuration), REDIRECT),
    (900971, Denied(Configuration), REDIRECT),
    (50020, Denied(Server), OTHER_ACCOUNT),
    (50034, Denied(Server), OTHER_ACCOUNT),
    (51004, Denied(Server), OTHER_ACCOUNT),
    (90072, Denied(Server), OTHER_ACCOUNT),
    (50057, Denied(Server), "ask the directory's administrator: the account is disabled"),
    (50059, Invalid("tenant_id"), TENANT),
    (900023, Invalid("tenant_id"), TENANT),
    (90002, Invalid("tenant_id"), TENANT),
    (50194, Invalid("tenant_id"), OWN_TENANT),
    (9001023, Invalid("tenant_id"), OWN_TENANT),
    (50105, Denied(Server), "ask an administrator to assign the account to the app"),
    (
        50196,
        Transient,
        "wait, and let the app keep its tokens: it requests the same one repeatedly",
    ),
    (53000, Interaction, POLICY),
    (53001, Interaction, POLICY),
    (53003, Interaction, POLICY),
    (65001, Interaction, "sign in interactively and consent to what the app asks for"),
    (65002, Denied(Configuration), "use an app registration of your own as client_id"),
    (65004, Denied(Person), DECLINED),
    (650053, Invalid("scopes"), SCOPES),
    (650056, Denied(Configuration), PERMISSION),
    (650057, Denied(Configuration), PERMISSION),
    (28000, Invalid("scopes"), ONE_RESOURCE),
    (28003, Invalid("scopes"), SCOPES),
    (70011, Invalid("scopes"), SCOPES),
    (
        700016,
        Denied(Configuration),
        "check client_id and tenant_id: the app is not in that directory",
    ),
    (
        7000112,
        Denied(Configuration),
        "ask the directory's administrator: the app is disabled there",
    ),
    (7000218, Denied(Configuration), PUBLIC_CLIENT),
    (90033, Transient, "try again in a moment: the directory is temporarily unavailable"),
    (90055, Transient, "try again later: the directory limits the rate of requests"),
    (90094, Denied(Server), "ask an administrator of the directory to consent to the app"),
];

/// By OAuth error: RFC 6749 §4.1.2.1 and §5.2, OpenID Connect Core §3.1.2.6, RFC 8628 §3.5, and
/// Entra's own.
pub(super) const ERRORS: &[(&str, Meaning, &str)] = &[
    ("invalid_grant", Interaction, SIGN_IN),
    ("interaction_required", Interaction, SIGN_IN),
    ("login_required", Interaction, SIGN_IN),
    ("consent_required", Interaction, SIGN_IN),
    ("account_selection_required", Interaction, SIGN_IN),
    ("access_denied", Denied(Person), DECLINED),
    ("authorization_declined", Denied(Person), DECLINED),
    (
        "unauthorized_client",
        Denied(Configuration),
        "check how the app is registered in the directory",
    ),
    ("invalid_client", Denied(Configuration), PUBLIC_CLIENT),
    ("unsupported_response_type", Denied(Configuration), PUBLIC_CLIENT),
    ("unsupported_grant_type", Denied(Configuration), PUBLIC_CLIENT),
    ("invalid_scope", Invalid("scopes"), SCOPES),
    ("invalid_resource", Invalid("scopes"), RESOURCE),
    ("invalid_target", Invalid("scopes"), RESOURCE),
    ("invalid_request", Invalid("request"), "report this, and give the code and the ids"),
    ("invalid_instance", Invalid("authority"), "check the authority's host"),
    ("bad_verification_code", Invalid("device_code"), "start the sign-in again"),
    ("expired_token", TimedOut, "start the sign-in again, and enter the code in time"),
    ("code_expired", TimedOut, "start the sign-in again, and enter the code in time"),
    ("temporarily_unavailable", Transient, super::BUSY),
    ("server_error", Transient, super::BUSY),
];

const DECLINED: &str = "start the sign-in again and accept, if you did not mean to decline";
const ONE_RESOURCE: &str = "ask for the scopes of one resource at a time";
const OTHER_ACCOUNT: &str =
    "sign in with an account of that directory, or have this one invited as a guest";
const OWN_TENANT: &str = "name the app's own directory as tenant_id";
const PERMISSION: &str = "add the permission to the app registration, and get consent for it";
const POLICY: &str =
    "ask the directory's administrator which policy blocks this sign-in, and what it requires";
const PUBLIC_CLIENT: &str = "turn on 'Allow public client flows' in the app registration";
const REDIRECT: &str = "add the redirect URI to the app registration, under the platform \
                        'Mobile and desktop applications'";
const RESOURCE: &str = "check the resource in the scopes: the directory does not know it";
const SCOPES: &str = "check the spelling of the scopes: the resource does not offer these";
const SIGN_IN: &str = "sign in again interactively, for example with `keybearer login`";
const TENANT: &str = "check tenant_id: there is no such directory in this cloud";
