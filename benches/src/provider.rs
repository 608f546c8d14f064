use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use http::{Request, Response};
use keybearer_core::Result;
use keybearer_engine::Http;
use keybearer_protocol::Body;
use keybearer_testkit::effects::ScriptedHttp;
use serde_json::json;

use crate::ACCESS_TOKEN_LENGTH;

/// The provider in memory, except that it answers a refresh without signing an id token, because
/// a hundred thousand signatures would take minutes.
#[derive(Clone, Debug)]
pub struct QuickProvider {
    signing: ScriptedHttp,
    issued: Arc<AtomicU64>,
}

impl QuickProvider {
    /// Passes all requests but refreshes to `signing`.
    #[must_use]
    pub fn new(signing: ScriptedHttp) -> Self {
        Self { signing, issued: Arc::default() }
    }

    fn refreshed(&self) -> Response<Body> {
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let body = json!({
            "token_type": "Bearer",
            "expires_in": 86_400,
            "access_token": format!("{number:0width$}", width = ACCESS_TOKEN_LENGTH),
        });
        Response::new(Body::new(body.to_string().into_bytes()))
    }
}

#[async_trait]
impl Http for QuickProvider {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>> {
        let form = request.body().expose();
        let refresh = form.windows(GRANT.len()).any(|window| window == GRANT);
        if refresh {
            return Ok(self.refreshed());
        }
        self.signing.send(request).await.map(real_size)
    }
}

/// Replaces the short refresh tokens of the provider in memory. They are never redeemed.
fn real_size(answer: Response<Body>) -> Response<Body> {
    let (head, body) = answer.into_parts();
    let mut json: serde_json::Value = serde_json::from_slice(body.expose()).unwrap_or_default();
    let Some(token) = json["refresh_token"].as_str() else {
        return Response::from_parts(head, body);
    };
    json["refresh_token"] = format!("{token:r<REFRESH_TOKEN_LENGTH$}").into();
    Response::from_parts(head, Body::new(json.to_string().into_bytes()))
}

/// The length of a refresh token of Entra.
const REFRESH_TOKEN_LENGTH: usize = 1300;

const GRANT: &[u8] = b"grant_type=refresh_token";
