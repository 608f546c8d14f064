//! A resource that accepts only signed HTTP requests
//! (draft-ietf-oauth-signed-http-request-03): all paths below `/pop` on the storage account's port.
//!
//! It checks what §4 of the draft requires, that method, host and path are signed (Microsoft's
//! validation for resources requires that by default), and that no signature is used twice. Below
//! `/pop/nonce` the nonce must be one from a challenge of the resource.

use std::collections::{BTreeMap, HashSet};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::server::bearer::Bearer;
use crate::server::endpoint_request::EndpointRequest;
use crate::server::random;
use crate::server::reply::Reply;
use crate::server::state::EmulatorState;

/// The maximum difference between the time of a signature and the emulator's time, in seconds.
const TOLERANCE: i64 = 300;

const NOT_OURS: &str = "nonce of the resource";

const RESOURCE: &str = "https://storage.azure.com";

#[derive(Default)]
pub(crate) struct Nonces {
    /// The nonces of signatures that were used.
    seen: HashSet<String>,
    /// The nonces of challenges that were not used yet.
    offered: HashSet<String>,
}

impl Nonces {
    fn offer(&mut self) -> String {
        let nonce = random::guid();
        self.offered.insert(nonce.clone());
        nonce
    }
}

/// All paths below `/pop`. The reply names the user and the signed parts, or the reason for a refusal.
pub(crate) fn resource(state: &EmulatorState, received: &EndpointRequest) -> Reply {
    match check(state, received) {
        Ok(body) => Reply::json(&body, "served"),
        Err(why) => {
            let mut challenge = format!("PoP error=\"invalid_token\", error_description=\"{why}\"");
            if why == NOT_OURS {
                challenge += &format!(", nonce=\"{}\"", state.nonces().offer());
            }
            Reply::json(&json!({ "refused": why }), why)
                .with_status(401)
                .with("www-authenticate", &challenge)
        }
    }
}

fn check(state: &EmulatorState, received: &EndpointRequest) -> Result<Value, &'static str> {
    let (scheme, signed) =
        received.header("authorization").and_then(|text| text.split_once(' ')).ok_or("missing")?;
    if !scheme.eq_ignore_ascii_case("pop") {
        return Err("scheme");
    }
    let (claims, thumbprint) = verified(signed.trim())?;
    let token = claims["at"].as_str().ok_or("at")?;
    let token = state.keys.verify(token).ok_or("token signature")?;
    if token["cnf"]["kid"] != thumbprint.as_str() {
        return Err("another key");
    }
    let bearer =
        Bearer::with_proof(state, &token, RESOURCE, received.now()).map_err(|_| "token")?;
    let ts = claims["ts"].as_i64().ok_or("ts")?;
    if ts.abs_diff(received.now()) > TOLERANCE.unsigned_abs() {
        return Err("ts");
    }
    let is = |name: &str, expected: &str| claims[name] == expected;
    if !is("m", received.method.as_str()) {
        return Err("m");
    }
    if !is("u", received.header("host").unwrap_or_default()) {
        return Err("u");
    }
    if !is("p", &received.path) {
        return Err("p");
    }
    if !claims["q"].is_null() && !query_matches(&claims["q"], received) {
        return Err("q");
    }
    let nonce = claims["nonce"].as_str().ok_or("nonce")?;
    let mut nonces = state.nonces();
    if received.path.starts_with("/pop/nonce") && !nonces.offered.remove(nonce) {
        return Err(NOT_OURS);
    }
    if !nonces.seen.insert(nonce.to_owned()) {
        return Err("replay");
    }
    Ok(json!({
        "upn": bearer.user.upn,
        "client_id": bearer.client_id,
        "query_signed": !claims["q"].is_null(),
        "client_claims": claims["client_claims"],
    }))
}

/// The claims of a signed request, if the key inside made the signature, and that key's thumbprint
/// (RFC 7638).
fn verified(signed: &str) -> Result<(Value, String), &'static str> {
    let (input, signature) = signed.rsplit_once('.').ok_or("not a JWS")?;
    let (header, claims) = input.split_once('.').ok_or("not a JWS")?;
    let part = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| "not a JWS");
    let json = |text: &str| serde_json::from_slice::<Value>(&part(text)?).map_err(|_| "not a JWS");
    let (header, claims) = (json(header)?, json(claims)?);
    if header["alg"] != "RS256" || header["typ"] != "pop" {
        return Err("header");
    }
    let jwk = &claims["cnf"]["jwk"];
    if jwk["kty"] != "RSA" {
        return Err("cnf");
    }
    let number = |name: &str| jwk[name].as_str().ok_or("cnf");
    let (e, n) = (number("e")?, number("n")?);
    let key = RsaPublicKeyComponents { n: part(n)?, e: part(e)? };
    key.verify(&RSA_PKCS1_2048_8192_SHA256, input.as_bytes(), &part(signature)?)
        .map_err(|_| "signature")?;
    let canonical = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
    let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()));
    if header["kid"] != thumbprint.as_str() {
        return Err("kid");
    }
    Ok((claims, thumbprint))
}

/// Whether the signed query parameters have their signed values (§4 of the draft).
fn query_matches(signed: &Value, received: &EndpointRequest) -> bool {
    let (Some(names), Some(hash)) = (signed[0].as_array(), signed[1].as_str()) else {
        return false;
    };
    let mut present: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in received.query.pairs() {
        present.entry(name).or_default().push(value);
    }
    let mut text = form_urlencoded::Serializer::new(String::new());
    for name in names {
        let name = name.as_str().unwrap_or_default();
        match present.get(name).map(Vec::as_slice) {
            Some([value]) => drop(text.append_pair(name, value)),
            _ => return false,
        }
    }
    let text = text.finish().replace('+', "%20");
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes())) == hash
}
