//! What a resource asks for in `WWW-Authenticate`: RFC 9110 §11.6.1 and RFC 6750 §3.

use keybearer_core::Claims;

/// The claims that a resource demands with `error="insufficient_claims"` in a `Bearer` challenge,
/// if it demands any. Anything malformed counts as no demand.
#[must_use]
pub fn claims(header: &str) -> Option<Claims> {
    let _ = header;
    todo!()
}
