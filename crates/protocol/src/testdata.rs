//! Test vectors: every file in a folder of `testdata`.

use std::path::Path;

use keybearer_core::Authority;
use serde::de::DeserializeOwned;

use crate::Body;
use crate::metadata::{self, ProviderMetadata};

/// Reads all cases of a folder under `testdata`; each file is a list of cases.
#[allow(clippy::disallowed_methods, reason = "test vectors are files")]
pub(crate) fn cases<T: DeserializeOwned>(folder: &str) -> Vec<T> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(folder);
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
    files.sort();
    assert!(!files.is_empty(), "{} should hold cases", folder.display());
    let read = |path: &std::path::PathBuf| -> Vec<T> {
        let text = std::fs::read_to_string(path).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    files.iter().flat_map(read).collect()
}

/// The configuration of an ordinary provider at `authority`.
pub(crate) fn metadata(authority: &Authority) -> ProviderMetadata {
    let base = format!("https://{}", authority.host());
    let issued = authority.tenant().id().filter(|id| id.is_guid());
    let issued = issued.map_or("{tenantid}", |id| id.as_str());
    let endpoint = |path| authority.endpoint(path).to_string();
    let body = serde_json::json!({
        "issuer": format!("{base}/{issued}/v2.0"),
        "authorization_endpoint": endpoint("oauth2/v2.0/authorize"),
        "token_endpoint": endpoint("oauth2/v2.0/token"),
        "device_authorization_endpoint": endpoint("oauth2/v2.0/devicecode"),
        "jwks_uri": endpoint("discovery/v2.0/keys"),
    });
    let response = http::Response::new(Body::new(body.to_string().into_bytes()));
    metadata::parse(authority, &response).unwrap()
}
