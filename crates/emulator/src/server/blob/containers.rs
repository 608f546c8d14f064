//! The operations on containers
//! (<https://learn.microsoft.com/rest/api/storageservices/list-containers2>).

use std::fmt::Write as _;

use axum::http::Method;

use super::error;
use super::xml::{element, escape};
use crate::server::clock::http_date;
use crate::server::endpoint_request::EndpointRequest;
use crate::server::fixture::BlobRole;
use crate::server::reply::Reply;
use crate::server::state::EmulatorState;

/// The maximum number of containers on one page of a listing.
const MAX_RESULTS: usize = 5000;

pub(super) fn serve(
    state: &EmulatorState,
    received: &EndpointRequest,
    role: Option<BlobRole>,
) -> Reply {
    let path = received.path.strip_prefix(state.host_names.account_path()).unwrap_or_default();
    let container = path.strip_prefix('/').unwrap_or_default();
    let is_container = received.query.first("restype") == Some("container");
    let lists = received.query.first("comp") == Some("list");
    let (needed, operation): (_, fn(&EmulatorState, &EndpointRequest, &str) -> Reply) =
        match received.method {
            Method::GET if container.is_empty() && lists => (BlobRole::Reader, list),
            Method::PUT if is_container => (BlobRole::Contributor, create),
            Method::GET | Method::HEAD if is_container => (BlobRole::Reader, properties),
            _ => {
                let message = "The emulator supports listing and creating containers and reading their properties.";
                return error(400, "InvalidUri", message, &received.trace);
            }
        };
    let permitted = role == Some(BlobRole::Contributor) || role == Some(needed);
    if !permitted {
        let message =
            "This request is not authorized to perform this operation using this permission.";
        return error(403, "AuthorizationPermissionMismatch", message, &received.trace);
    }
    operation(state, received, container)
        .with("x-ms-version", received.header("x-ms-version").unwrap_or_default())
}

fn list(state: &EmulatorState, received: &EndpointRequest, _: &str) -> Reply {
    let query = |name| received.query.first(name).unwrap_or_default();
    let limit = match query("maxresults") {
        "" => MAX_RESULTS,
        text => match text.parse() {
            Ok(limit @ 1..=MAX_RESULTS) => limit,
            _ => {
                let message = "One of the query parameters specified in the request URI is outside the permissible range.";
                return error(400, "OutOfRangeQueryParameterValue", message, &received.trace);
            }
        },
    };
    let (prefix, marker) = (query("prefix"), query("marker"));
    let containers = state.containers();
    let mut chosen =
        containers.iter().filter(|(name, _)| name.starts_with(prefix) && name.as_str() >= marker);
    let mut body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ServiceEndpoint=\"{}/\">",
        escape(&state.blob_endpoint)
    );
    for (name, value) in
        [("Prefix", prefix), ("Marker", marker), ("MaxResults", query("maxresults"))]
    {
        if !value.is_empty() {
            body += &element(name, value);
        }
    }
    body += "<Containers>";
    for (name, created) in chosen.by_ref().take(limit) {
        write_container(&mut body, name, *created);
    }
    let next = chosen.next().map_or("", |(name, _)| name);
    body += &format!("</Containers>{}</EnumerationResults>", element("NextMarker", next));
    Reply::new(200, "application/xml", body, "list")
}

fn create(state: &EmulatorState, received: &EndpointRequest, name: &str) -> Reply {
    if !is_valid(name) {
        let message =
            "The specified resource name contains invalid characters or has a bad length.";
        return error(400, "InvalidResourceName", message, &received.trace);
    }
    let mut containers = state.containers();
    if containers.contains_key(name) {
        let message = "The specified container already exists.";
        return error(409, "ContainerAlreadyExists", message, &received.trace);
    }
    containers.insert(name.to_owned(), received.now());
    dated(Reply::new(201, "application/xml", String::new(), "create"), received.now())
}

fn properties(state: &EmulatorState, received: &EndpointRequest, name: &str) -> Reply {
    match state.containers().get(name) {
        None => error(
            404,
            "ContainerNotFound",
            "The specified container does not exist.",
            &received.trace,
        ),
        Some(created) => {
            dated(Reply::new(200, "application/xml", String::new(), "properties"), *created)
                .with("x-ms-lease-status", "unlocked")
                .with("x-ms-lease-state", "available")
                .with("x-ms-has-immutability-policy", "false")
                .with("x-ms-has-legal-hold", "false")
        }
    }
}

fn dated(reply: Reply, created: i64) -> Reply {
    reply.with("etag", &etag(created)).with("last-modified", &http_date(created))
}

fn write_container(body: &mut String, name: &str, created: i64) {
    let properties = [
        ("Last-Modified", http_date(created)),
        ("Etag", etag(created)),
        ("LeaseStatus", "unlocked".to_owned()),
        ("LeaseState", "available".to_owned()),
        ("DefaultEncryptionScope", "$account-encryption-key".to_owned()),
        ("DenyEncryptionScopeOverride", "false".to_owned()),
        ("HasImmutabilityPolicy", "false".to_owned()),
        ("HasLegalHold", "false".to_owned()),
        ("ImmutableStorageWithVersioningEnabled", "false".to_owned()),
    ];
    let properties: String = properties.iter().map(|(name, text)| element(name, text)).collect();
    // Writing to a string cannot fail.
    let _ = write!(
        body,
        "<Container>{}<Properties>{properties}</Properties></Container>",
        element("Name", name)
    );
}

fn etag(created: i64) -> String {
    format!("\"0x{created:016X}\"")
}

/// Whether this is 3 to 63 lower-case letters, digits and single hyphens, with no hyphen at the ends.
fn is_valid(name: &str) -> bool {
    let letter =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    (3..=63).contains(&name.len())
        && name.chars().all(letter)
        && !name.contains("--")
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_names_are_those_of_the_service() {
        let long = "a".repeat(64);
        let cases = [
            ("abc", true),
            ("a-1", true),
            ("ab", false),
            ("Abc", false),
            ("a--b", false),
            ("-ab", false),
            ("ab-", false),
            ("a/b", false),
            (long.as_str(), false),
        ];
        for (name, expected) in cases {
            assert_eq!(is_valid(name), expected, "{name}");
        }
    }
}
