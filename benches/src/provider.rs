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

/// The provider in memory, except that a refresh is answered at once, without signing an id token:
/// a hundred thousand of them would take minutes.
#[derive(Clone, Debug)]
pub struct QuickProvider {
    signing: ScriptedHttp,
    issued: Arc<AtomicU64>,
}

impl QuickProvider {
    /// Leaves everything but refreshes to `signing`.
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
        if refresh { Ok(self.refreshed()) } else { self.signing.send(request).await }
    }
}

const GRANT: &[u8] = b"grant_type=refresh_token";
