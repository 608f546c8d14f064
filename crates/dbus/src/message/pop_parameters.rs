use keybearer_core::{Error, HttpRequestToSign, ProofOfPossession, Result};
use serde::{Deserialize, Serialize};
use url::Url;

use super::Member;
use super::parameters::parse_url;

/// `popParams` as clients send it: the content of a signed HTTP request, or the key of an app
/// that signs itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PopMembers {
    authentication_scheme: Member<String>,
    client_claims: Member<String>,
    pub(crate) home_account_id: Member<String>,
    http_method: Member<String>,
    kid: Member<String>,
    nonce: Member<String>,
    uri_host: Member<String>,
    uri_path: Member<String>,
}

impl PopMembers {
    /// What binds the token, if anything does.
    pub(crate) fn proof_of_possession(self) -> Result<Option<ProofOfPossession>> {
        if !self.asks_for_proof() {
            return Ok(None);
        }
        Ok(Some(match self.kid.clone().in_request("kid")? {
            Some(key_id) => ProofOfPossession::BoundTo { key_id },
            None => ProofOfPossession::Signed(self.http_request()?),
        }))
    }

    /// Some clients send the object with the scheme `bearer`, some without any content.
    fn asks_for_proof(&self) -> bool {
        match self.authentication_scheme.clone().lenient() {
            Some(scheme) => scheme.eq_ignore_ascii_case("pop"),
            None => [&self.http_method, &self.kid, &self.nonce, &self.uri_host]
                .into_iter()
                .any(|member| !matches!(member, Member::Absent)),
        }
    }

    /// The request to sign. Some clients put the whole URL where the host belongs.
    pub(crate) fn http_request(self) -> Result<HttpRequestToSign> {
        let path = self.uri_path.in_request("uriPath")?;
        let host = self.uri_host.in_request("uriHost")?;
        let (host, path) = match host {
            Some(host) if host.contains("://") => {
                let url = parse_url(&host, "uriHost")?;
                (Some(host_of(&url)?), path.or_else(|| Some(path_and_query(&url))))
            }
            host => (host, path),
        };
        Ok(HttpRequestToSign {
            method: self.http_method.in_request("httpMethod")?.map(|m| m.to_ascii_uppercase()),
            host,
            path,
            nonce: self.nonce.in_request("nonce")?,
            client_claims: self.client_claims.in_request("clientClaims")?,
        })
    }
}

fn host_of(url: &Url) -> Result<String> {
    let name = url.host_str();
    let name = name.ok_or_else(|| Error::invalid_request("uriHost", "uriHost names no host"))?;
    Ok(url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}")))
}

fn path_and_query(url: &Url) -> String {
    url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
}

/// `popParams` as we send it: as Microsoft's client does, a key id stands alone.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PopObject<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    client_claims: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    home_account_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri_host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri_path: Option<&'a str>,
    /// Where there is no request to sign, Keybearer's broker reads this.
    #[serde(skip_serializing_if = "Option::is_none")]
    authentication_scheme: Option<&'static str>,
}

impl<'a> PopObject<'a> {
    /// For a token.
    pub(crate) fn new(proof: &'a ProofOfPossession) -> Self {
        match proof {
            ProofOfPossession::Signed(request) => {
                Self { authentication_scheme: Some("pop"), ..Self::signing(request, "") }
            }
            ProofOfPossession::BoundTo { key_id } => Self { kid: Some(key_id), ..Self::default() },
        }
    }

    /// For a signature with an account's key.
    pub(crate) fn signing(request: &'a HttpRequestToSign, home_account_id: &'a str) -> Self {
        let text = |value: &'a Option<String>| Some(value.as_deref().unwrap_or_default());
        Self {
            client_claims: text(&request.client_claims),
            home_account_id: Some(home_account_id),
            http_method: text(&request.method),
            kid: None,
            nonce: text(&request.nonce),
            uri_host: text(&request.host),
            uri_path: text(&request.path),
            authentication_scheme: None,
        }
    }
}
