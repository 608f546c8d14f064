use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use keybearer_core::{Error, Missing, Result};
use keybearer_engine::Http;
use keybearer_protocol::Body;
use reqwest::Client;
use rustls::CertificateError;
use tokio::sync::OnceCell;

use crate::environment::Environment;

/// Much more than any provider answers, and little enough to hold in memory.
const BODY_LIMIT: usize = 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may pause within an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The limit for callers without a deadline (invariant I7).
const WHOLE_TIMEOUT: Duration = Duration::from_secs(60);

/// HTTPS to providers: pooled, without redirects and cookies, through the proxy of `HTTPS_PROXY`,
/// trusting the system's certificates or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
///
/// Construction is cheap: certificates are read before the first request.
#[derive(Clone, Debug)]
pub struct HttpClient(Arc<ClientState>);

#[derive(Debug)]
struct ClientState {
    client: OnceCell<Client>,
    proxy: bool,
    schemes: Schemes,
    /// Used instead of the system's certificates, on systems where reqwest ignores `SSL_CERT_FILE`.
    certificates: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug)]
enum Schemes {
    HttpsOnly,
    #[cfg(test)]
    Any,
}

impl HttpClient {
    /// A client. The trusted certificates are found by `environment` on Windows and macOS, and by the
    /// environment of the process on other systems.
    #[must_use]
    pub fn new(environment: &Environment) -> Self {
        Self::with_schemes(environment, Schemes::HttpsOnly)
    }

    fn with_schemes(environment: &Environment, schemes: Schemes) -> Self {
        let names = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
        let proxy = names.iter().any(|name| environment.has(name));
        let certificates = environment.value("SSL_CERT_FILE").map(PathBuf::from);
        let certificates = certificates.filter(|_| cfg!(any(windows, target_vendor = "apple")));
        Self(Arc::new(ClientState { client: OnceCell::new(), proxy, schemes, certificates }))
    }

    async fn client(&self) -> Result<&Client> {
        let (schemes, certificates) = (self.0.schemes, self.0.certificates.clone());
        let build = || async move {
            let task = tokio::task::spawn_blocking(move || build(schemes, certificates.as_deref()));
            task.await.map_err(|error| {
                Error::internal("could not start the HTTP client").with_source(error)
            })?
        };
        self.0.client.get_or_try_init(build).await
    }
}

#[async_trait]
impl Http for HttpClient {
    async fn send(&self, request: http::Request<Body>) -> Result<http::Response<Body>> {
        let (parts, body) = request.into_parts();
        let host = parts.uri.host().unwrap_or("nowhere").to_owned();
        let problem = |error: reqwest::Error| self.0.problem(&host, error);
        let url = parts.uri.to_string();
        let response = self
            .client()
            .await?
            .request(parts.method, url)
            .headers(parts.headers)
            .body(Bytes::from_owner(BorrowedBody(body)))
            .send()
            .await
            .map_err(problem)?;
        let mut answer = http::Response::new(Body::default());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = response.headers().clone();
        *answer.body_mut() = self.0.read(&host, response).await?;
        Ok(answer)
    }
}

/// Lets the HTTP client read a body without copying it, so that the only copy is wiped after use.
struct BorrowedBody(Body);

impl AsRef<[u8]> for BorrowedBody {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

impl ClientState {
    async fn read(&self, host: &str, mut response: reqwest::Response) -> Result<Body> {
        let announced = response.content_length().unwrap_or(16 * 1024);
        let too_large = || Error::protocol("an answer of at most 1 MiB", "a longer one");
        let announced = usize::try_from(announced).map_err(|_| too_large())?;
        if announced > BODY_LIMIT {
            return Err(too_large());
        }
        let mut content = Vec::with_capacity(announced);
        while let Some(chunk) = response.chunk().await.map_err(|error| self.problem(host, error))? {
            if content.len() + chunk.len() > BODY_LIMIT {
                return Err(too_large());
            }
            content.extend_from_slice(&chunk);
        }
        Ok(Body::new(content))
    }

    /// Converts an error of reqwest. The URL is removed, because its query may be secret.
    fn problem(&self, host: &str, error: reqwest::Error) -> Error {
        let error = error.without_url();
        if let Some(tls) = tls_error(&error) {
            return tls_problem(host, tls).with_source(error);
        }
        if error.is_builder() {
            return Error::internal(format!("could not build a request to {host}"))
                .with_source(error);
        }
        if !error.is_connect() {
            return Error::transient(None, format!("could not exchange a request with {host}"))
                .with_source(error)
                .with_hint("try again; if it happens again, check the network and the proxy");
        }
        let hint = if self.proxy {
            "check the proxy that HTTPS_PROXY names, or exempt this host with NO_PROXY"
        } else {
            "check the network; behind a proxy, set HTTPS_PROXY"
        };
        Error::unavailable(Missing::Network, format!("could not connect to {host}"))
            .with_source(error)
            .with_hint(hint)
    }
}

fn build(schemes: Schemes, certificates: Option<&Path>) -> Result<Client> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::unavailable(Missing::Network, "could not load the trusted certificates").with_source(error).with_hint(
            "check that SSL_CERT_FILE and SSL_CERT_DIR name readable certificates in PEM format",
        )
    };
    let mut builder = Client::builder();
    if let Some(path) = certificates {
        let pem = std::fs::read(path).map_err(|error| failed(error.into()))?;
        let trusted = reqwest::Certificate::from_pem_bundle(&pem);
        builder = builder.tls_certs_only(trusted.map_err(|error| failed(error.into()))?);
    }
    builder
        .https_only(matches!(schemes, Schemes::HttpsOnly))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .timeout(WHOLE_TIMEOUT)
        .user_agent(concat!("keybearer/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| failed(error.into()))
}

/// `io::Error::source` skips the error that it wraps, so the wrapped error is inspected as well.
fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = error.source();
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref() {
            return Some(tls);
        }
        let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = inside.map(|inside| inside as _).or_else(|| error.source());
    }
    None
}

fn tls_problem(host: &str, error: &rustls::Error) -> Error {
    use CertificateError as Certificate;
    let failed = |reason: &str, hint: &str| {
        let message = format!("could not connect to {host}: {reason}");
        Error::unavailable(Missing::Network, message).with_hint(hint)
    };
    let rustls::Error::InvalidCertificate(certificate) = error else {
        return failed(
            "TLS failed",
            "check the proxies and firewalls between this machine and the server",
        );
    };
    match certificate {
        Certificate::UnknownIssuer => failed(
            "its certificate is from an authority that this machine does not trust",
            "if a proxy or a test server issued it, set SSL_CERT_FILE to that authority's \
             certificate (Python apps: REQUESTS_CA_BUNDLE as well)",
        ),
        Certificate::Expired | Certificate::ExpiredContext { .. } => failed(
            "its certificate has expired",
            "check this machine's clock; if it is right, the server's certificate must be renewed",
        ),
        Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
            failed("its certificate is not valid yet", "check this machine's clock")
        }
        Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => failed(
            "its certificate is for another name",
            "check the authority host for typing mistakes, and whether another server answers for it",
        ),
        _ => failed(
            "its certificate is not valid",
            "check whether another server answers for it, such as a proxy that decrypts TLS",
        ),
    }
}

#[cfg(test)]
mod tests {
    use keybearer_core::ErrorKind;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers one connection with these bytes, then closes it.
    async fn answering(bytes: impl Into<Vec<u8>>) -> String {
        let bytes = bytes.into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token?secret=query", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(&bytes).await;
        });
        url
    }

    async fn send(url: &str) -> Result<http::Response<Body>> {
        let client = HttpClient::with_schemes(&Environment::default(), Schemes::Any);
        let body = Body::new(b"secret=body".to_vec());
        client.send(http::Request::post(url).body(body).unwrap()).await
    }

    #[tokio::test]
    async fn an_answer_of_any_status_is_returned_and_redirects_are_not_followed() {
        let answer =
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 2\r\n\r\nhi";
        let response = send(&answering(answer).await).await.unwrap();
        assert_eq!((response.status().as_u16(), response.body().expose()), (302, &b"hi"[..]));
        assert_eq!(response.headers()["location"], "http://127.0.0.1:1/");
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_transient_and_names_the_host_only() {
        for answer in ["", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi"] {
            let error = send(&answering(answer).await).await.unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::Transient { retry_after: None });
            let text = format!("{error} {error:?} {:?}", error.causes().collect::<Vec<_>>());
            assert!(text.contains("127.0.0.1") && !text.contains("secret"), "{text}");
        }
    }

    #[tokio::test]
    async fn an_answer_over_the_limit_is_refused_whether_announced_or_not() {
        let announced = "HTTP/1.1 200 OK\r\ncontent-length: 1048577\r\n\r\n".to_owned();
        let unannounced = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(BODY_LIMIT + 1));
        for answer in [announced, unannounced] {
            let error = send(&answering(answer).await).await.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Protocol { .. }), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_unavailable_with_a_hint_about_the_proxy_if_there_is_one()
    {
        for (pairs, hint) in [
            (vec![], "behind a proxy, set HTTPS_PROXY"),
            (vec![("HTTPS_PROXY", "http://u:p@proxy.example")], "NO_PROXY"),
        ] {
            let client = HttpClient::new(&Environment::from_pairs(pairs));
            for host in ["127.0.0.1:1", "nowhere.invalid"] {
                let url = format!("https://{host}/?secret=query");
                let request = http::Request::get(url).body(Body::default()).unwrap();
                let error = client.send(request).await.unwrap_err();
                assert_eq!(error.kind(), &ErrorKind::Unavailable(Missing::Network), "{error:?}");
                assert!(error.hint().unwrap().contains(hint), "{error}");
                assert!(!format!("{error:?}").contains("secret"), "{error:?}");
            }
        }
    }

    #[tokio::test]
    async fn nothing_is_sent_without_tls() {
        let client = HttpClient::new(&Environment::default());
        let request = http::Request::get("http://127.0.0.1:1/").body(Body::default()).unwrap();
        assert_eq!(client.send(request).await.unwrap_err().kind(), &ErrorKind::Internal);
    }
}
