//! Instance discovery: whether a host nobody configured belongs to Microsoft.

use keybearer_core::{Authority, AuthorityHost, CorrelationId, Result};

use crate::Body;

/// Asks a host that is known about one that is not.
///
/// # Errors
/// `InvalidRequest` on the field `authority` if a host cannot stand in an HTTP request.
pub fn request(
    known: &AuthorityHost,
    asked: &Authority,
    correlation_id: &CorrelationId,
) -> Result<http::Request<Body>> {
    let _ = (known, asked, correlation_id);
    todo!()
}

/// Whether a host may be sent credentials.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
#[allow(clippy::exhaustive_enums, reason = "there is no third answer")]
pub enum Trust {
    /// It is one of the hosts Microsoft lists.
    Listed,
    /// It is not.
    Unlisted,
}

/// Reads the answer.
///
/// # Errors
/// `Transient` or `Protocol` if the question was not answered.
pub fn parse(asked: &AuthorityHost, response: &http::Response<Body>) -> Result<Trust> {
    let _ = (asked, response);
    todo!()
}
