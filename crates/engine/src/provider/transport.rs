use std::sync::Arc;
use std::time::Duration;

use http::header::RETRY_AFTER;
use keybearer_core::{Error, ErrorKind, Result};
use keybearer_protocol::Body;

use crate::deadline::within;
use crate::effects::{Clock, Effects, Http};

/// How long one exchange may take. It applies even if every caller allows more time.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(30);

/// HTTP exchanges with providers.
#[derive(Clone)]
pub(crate) struct Transport {
    http: Arc<dyn Http>,
    clock: Arc<dyn Clock>,
}

impl Transport {
    pub(crate) fn new(effects: &Effects) -> Self {
        Self { http: Arc::clone(&effects.http), clock: Arc::clone(&effects.clock) }
    }

    /// Sends one request and returns the response.
    ///
    /// # Errors
    /// Those of [`Http::send`]; `Transient` if there was no response in 30 s.
    pub(crate) async fn exchange(
        &self,
        request: http::Request<Body>,
    ) -> Result<http::Response<Body>> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let what = format!("the exchange with {host}");
        let answer = within(&*self.clock, EXCHANGE_LIMIT, &what, self.http.send(request)).await;
        answer.map_err(|error| match error.kind() {
            ErrorKind::TimedOut => {
                Error::transient(None, format!("{host} did not answer in time")).with_source(error)
            }
            _ => error,
        })
    }

    /// As [`exchange`](Self::exchange), but sends the request once more if the connection broke or
    /// the server failed without naming a time to wait. A server that is busy (429) gets no second
    /// request.
    pub(crate) async fn exchange_with_retry(
        &self,
        request: impl Fn() -> Result<http::Request<Body>>,
    ) -> Result<http::Response<Body>> {
        let result = self.exchange(request()?).await;
        let again = match &result {
            Ok(response) => {
                response.status().is_server_error() && !response.headers().contains_key(RETRY_AFTER)
            }
            Err(error) => matches!(error.kind(), ErrorKind::Transient { retry_after: None }),
        };
        if again { self.exchange(request()?).await } else { result }
    }
}
