//! A request as handlers get it.

use axum::body::Bytes;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};

use crate::server::entra_error::Trace;
use crate::server::faults::{Action, Endpoint, Target};
use crate::server::requests::Entry;

pub(crate) struct EndpointRequest {
    pub(crate) endpoint: Endpoint,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Params,
    pub(crate) form: Params,
    pub(crate) trace: Trace,
    /// The fault for this request, which the handler applies.
    pub(crate) fault: Option<Action>,
    headers: HeaderMap,
}

impl EndpointRequest {
    pub(crate) fn new(endpoint: Endpoint, parts: &Parts, body: &Bytes, now: i64) -> Self {
        let query = Params::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let form = Params::parse(body);
        let id = text(&parts.headers, "client-request-id");
        let id = id.or_else(|| form.first("client-request-id"));
        let trace = Trace::new(id.or_else(|| query.first("client-request-id")), now);
        Self {
            endpoint,
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            query,
            form,
            trace,
            fault: None,
            headers: parts.headers.clone(),
        }
    }

    /// The time of this request, in seconds since 1970. A fault may set it wrong.
    pub(crate) fn now(&self) -> i64 {
        self.trace.now
    }

    /// The first segment of the path, which names the tenant.
    pub(crate) fn tenant(&self) -> &str {
        self.path.trim_start_matches('/').split('/').next().unwrap_or_default()
    }

    /// A parameter of the body or, if it is not there, of the query.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.form.first(name).or_else(|| self.query.first(name))
    }

    /// A header, if its value is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        text(&self.headers, name)
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        let pairs = self.header("cookie")?.split(';');
        pairs
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|pair| pair.0 == name)
            .map(|pair| pair.1)
    }

    /// The bearer token of the `Authorization` header (RFC 6750 §2.1).
    pub(crate) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    pub(crate) fn target(&self) -> Target<'_> {
        Target {
            endpoint: self.endpoint,
            grant: self.form.first("grant_type"),
            client_id: self.param("client_id"),
        }
    }

    /// The entry of the request log, still without an outcome.
    pub(crate) fn entry(&self) -> Entry {
        let owned = |text: &str| text.to_owned();
        let in_tenant = !matches!(self.endpoint, Endpoint::Blob | Endpoint::Page | Endpoint::Arm);
        Entry {
            seq: 0,
            method: self.method.to_string(),
            path: self.path.clone(),
            grant: self.form.first("grant_type").map(owned),
            client_id: self.param("client_id").map(owned),
            brk_client_id: self.param("brk_client_id").map(owned),
            token_type: self.form.first("token_type").map(owned),
            scopes: self
                .param("scope")
                .unwrap_or_default()
                .split_ascii_whitespace()
                .map(owned)
                .collect(),
            tenant: in_tenant.then(|| self.tenant().to_owned()),
            correlation_id: self.trace.correlation_id.clone(),
            outcome: "pending".to_owned(),
        }
    }
}

/// The names and values of a query or a form.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads `application/x-www-form-urlencoded`.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// All names and values, in their order.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The first value of this name, unless it is empty.
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|pair| pair.0 == name).map(|pair| pair.1.as_str());
        value.filter(|value| !value.is_empty())
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn received(request: axum::http::request::Builder, body: &'static str) -> EndpointRequest {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        EndpointRequest::new(Endpoint::Token, &parts, &Bytes::from_static(body.as_bytes()), 7)
    }

    #[test]
    fn request_log_entry_holds_no_secret() {
        let request = Request::post("/t/oauth2/v2.0/token?code=query-secret")
            .header("authorization", "Bearer header-secret")
            .header("cookie", "ESTS=cookie-secret");
        let body = "grant_type=g&refresh_token=form-secret&code_verifier=form-secret\
                    &client_id=app&scope=openid+a%2Fb&password=form-secret";
        let entry = serde_json::to_string(&received(request, body).entry()).unwrap();
        assert!(!entry.contains("secret"), "{entry}");
        assert!(
            entry.contains(r#""scopes":["openid","a/b"]"#) && entry.contains(r#""tenant":"t""#)
        );
    }

    #[test]
    fn cookie_and_bearer_are_found_among_others() {
        let request =
            Request::get("/").header("cookie", "a=1; b=2").header("authorization", "bearer  xyz");
        let received = received(request, "");
        assert_eq!(
            (received.cookie("b"), received.cookie("c"), received.bearer()),
            (Some("2"), None, Some("xyz"))
        );
    }
}
