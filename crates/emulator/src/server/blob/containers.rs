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

/// The most a page of a listing may hold.
const MAX_RESULTS: usize = 5000;

pub(super) fn serve(
    state: &EmulatorState,
    call: &EndpointRequest,
    role: Option<BlobRole>,
) -> Reply {
    let path = call.path.strip_prefix(state.host_names.account_path()).unwrap_or_default();
    let container = path.strip_prefix('/').unwrap_or_default();
    let is_container = call.query.first("restype") == Some("container");
    let lists = call.query.first("comp") == Some("list");
    let (needed, operation): (_, fn(&EmulatorState, &EndpointRequest, &str) -> Reply) = match call
        .method
    {
        Method::GET if container.is_empty() && lists => (BlobRole::Reader, list),
        Method::PUT if is_container => (BlobRole::Contributor, create),
        Method::GET | Method::HEAD if is_container => (BlobRole::Reader, properties),
        _ => {
            let message = "The emulator lists and creates containers and tells their properties.";
            return error(400, "InvalidUri", message, &call.trace);
        }
    };
    let permitted = role == Some(BlobRole::Contributor) || role == Some(needed);
    if !permitted {
        let message =
            "This request is not authorized to perform this operation using this permission.";
        return error(403, "AuthorizationPermissionMismatch", message, &call.trace);
    }
    operation(state, call, container)
        .with("x-ms-version", call.header("x-ms-version").unwrap_or_default())
}

fn list(state: &EmulatorState, call: &EndpointRequest, _: &str) -> Reply {
    let query = |name| call.query.first(name).unwrap_or_default();
    let limit = match query("maxresults") {
        "" => MAX_RESULTS,
        text => match text.parse() {
            Ok(limit @ 1..=MAX_RESULTS) => limit,
            _ => {
                let message = "One of the query parameters specified in the request URI is outside the permissible range.";
                return error(400, "OutOfRangeQueryParameterValue", message, &call.trace);
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

fn create(state: &EmulatorState, call: &EndpointRequest, name: &str) -> Reply {
    if !is_valid(name) {
        let message =
            "The specified resource name contains invalid characters or has a bad length.";
        return error(400, "InvalidResourceName", message, &call.trace);
    }
    let mut containers = state.containers();
    if containers.contains_key(name) {
        let message = "The specified container already exists.";
        return error(409, "ContainerAlreadyExists", message, &call.trace);
    }
    containers.insert(name.to_owned(), call.now());
    dated(Reply::new(201, "application/xml", String::new(), "create"), call.now())
}

fn properties(state: &EmulatorState, call: &EndpointRequest, name: &str) -> Reply {
    match state.containers().get(name) {
        None => {
            error(404, "ContainerNotFound", "The specified container does not exist.", &call.trace)
        }
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

/// 3 to 63 lower-case letters, digits and single hyphens, not at the ends.
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
