use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use keybearer_engine::Random;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};

use super::sign_in_server::{Reply, SignInServer};
use crate::random::random_hex;

/// More than any browser opens; further connections wait to be accepted.
const CONNECTIONS: usize = 64;
/// A connection without a request is closed after this time.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last page may take to leave.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// The open sockets of a sign-in. Dropping it closes them; requests in progress are still answered.
#[derive(Debug)]
pub(super) struct Listener {
    closing: watch::Sender<()>,
    /// Closed when the last connection ends.
    connections: mpsc::Receiver<Infallible>,
}

impl Listener {
    /// Serves the sign-in on these sockets.
    pub(super) fn start(
        sockets: Vec<TcpListener>,
        sign_in: Arc<SignInServer>,
        random: Arc<dyn Random>,
    ) -> Self {
        let (closing, closed) = watch::channel(());
        let (open, connections) = mpsc::channel(1);
        let permits = Arc::new(Semaphore::new(CONNECTIONS));
        for socket in sockets {
            let server = Server {
                sign_in: Arc::clone(&sign_in),
                random: Arc::clone(&random),
                closed: closed.clone(),
                _open: open.clone(),
            };
            tokio::spawn(accept(socket, server, Arc::clone(&permits)));
        }
        Self { closing, connections }
    }

    /// Closes the sockets, and waits at most [`CLOSE_GRACE`] for the last pages to be sent.
    pub(super) async fn close(self) {
        let Self { closing, mut connections } = self;
        drop(closing);
        let _ = tokio::time::timeout(CLOSE_GRACE, connections.recv()).await;
    }
}

#[derive(Clone)]
struct Server {
    sign_in: Arc<SignInServer>,
    random: Arc<dyn Random>,
    closed: watch::Receiver<()>,
    _open: mpsc::Sender<Infallible>,
}

async fn accept(socket: TcpListener, mut server: Server, permits: Arc<Semaphore>) {
    loop {
        let next = async {
            let permit = Arc::clone(&permits).acquire_owned().await.ok()?;
            Some((socket.accept().await, permit))
        };
        let accepted = tokio::select! {
            _ = server.closed.changed() => return,
            accepted = next => accepted,
        };
        match accepted {
            Some((Ok((stream, _)), permit)) => {
                let server = server.clone();
                tokio::spawn(async move {
                    server.connection(stream).await;
                    drop(permit);
                });
            }
            // No file descriptors are left, or the peer has disconnected: neither fails the sign-in.
            Some((Err(_), _)) => tokio::time::sleep(Duration::from_millis(10)).await,
            None => return,
        }
    }
}

impl Server {
    async fn connection(mut self, stream: TcpStream) {
        let (sign_in, random) = (Arc::clone(&self.sign_in), Arc::clone(&self.random));
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let (sign_in, random) = (Arc::clone(&sign_in), Arc::clone(&random));
            async move {
                let head = request.method() == Method::HEAD;
                let response = response(sign_in.serve(request).await, &*random);
                Ok::<_, Infallible>(if head {
                    response.map(|_| Content::default())
                } else {
                    response
                })
            }
        });
        // One request per connection, so that no connection is open after the last page.
        let connection = http1::Builder::new()
            .keep_alive(false)
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = self.closed.changed() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }
}

/// A page, or a message that is sent later.
enum Content {
    Whole(Full<Bytes>),
    Stream(mpsc::Receiver<Bytes>),
}

impl Default for Content {
    fn default() -> Self {
        Self::Whole(Full::default())
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(page) => Pin::new(page).poll_frame(context),
            Self::Stream(message) => message
                .poll_recv(context)
                .map(|message| message.map(|message| Ok(Frame::data(message)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(page) if page.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(page) => page.size_hint(),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

fn response(reply: Reply, random: &dyn Random) -> Response<Content> {
    let nonce = random_hex(random, 16);
    let mut response = Response::new(Content::default());
    let location = match reply {
        Reply::Page(status, page) => {
            *response.status_mut() = status;
            *response.body_mut() = Content::Whole(Full::new(page.render(&nonce).into()));
            None
        }
        Reply::Stream(message) => {
            *response.body_mut() = Content::Stream(message);
            None
        }
        Reply::SeeOther(url) => {
            *response.status_mut() = StatusCode::SEE_OTHER;
            HeaderValue::from_str(url.as_str()).ok().map(|url| (header::LOCATION, url))
        }
        Reply::NotAllowed => {
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            Some((header::ALLOW, HeaderValue::from_static("GET, HEAD, POST")))
        }
    };
    // Browsers apply form-action to every redirect after the form, and providers redirect to federated
    // ones, so any https page is allowed. The form itself is only sent here.
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; \
         connect-src 'self'; form-action 'self' https:; base-uri 'none'; frame-ancestors 'none'"
    );
    let headers = response.headers_mut();
    headers.extend(location);
    headers
        .extend(HeaderValue::from_str(&policy).ok().map(|p| (header::CONTENT_SECURITY_POLICY, p)));
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
