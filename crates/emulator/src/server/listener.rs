//! Listening, TLS, and the order in which a request is handled: log, fault, handler, log.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::Response;
use axum::routing::{get, post};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::server::endpoint_request::EndpointRequest;
use crate::server::error::Error;
use crate::server::faults::{Action, Endpoint};
use crate::server::html::Page;
use crate::server::reply::{ClosesConnection, Reply};
use crate::server::state::EmulatorState;
use crate::server::{arm, authorize, blob, control, metadata, pop, token};

/// The maximum size of a request body. Forms and container requests are far smaller.
const MAX_BODY: usize = 1 << 20;

/// A port on loopback, in IPv4 and, if the machine has it, IPv6: clients resolve `localhost` to either.
pub(crate) struct Listener {
    pub(crate) port: u16,
    sockets: Vec<TcpListener>,
}

impl Listener {
    /// Binds `port`; 0 means any.
    pub(crate) async fn bind(port: u16) -> Result<Self, Error> {
        let failed = |source| Error::Bind { address: format!("127.0.0.1:{port}"), source };
        let mut attempts = 0;
        loop {
            let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(failed)?;
            let bound = v4.local_addr().map_err(failed)?.port();
            let v6 = TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, bound))).await;
            attempts += 1;
            match v6 {
                Ok(v6) => {
                    return Ok(Self { port: bound, sockets: vec![v4, v6] });
                }
                // The process that has the port in IPv6 would get some of the emulator's clients.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    if port != 0 || attempts == 10 {
                        return Err(Error::Bind {
                            address: format!("[::1]:{bound}"),
                            source: error,
                        });
                    }
                }
                Err(_) => {
                    return Ok(Self { port: bound, sockets: vec![v4] });
                }
            }
        }
    }

    /// Serves `router` until the runtime ends.
    pub(crate) fn serve(self, router: &Router, tls: &Arc<ServerConfig>) {
        for socket in self.sockets {
            let service = TowerToHyperService::new(router.clone());
            tokio::spawn(accept(socket, TlsAcceptor::from(Arc::clone(tls)), service));
        }
    }
}

/// The routes of the authority: sign-in, tokens, Azure Resource Manager, and control.
pub(crate) fn authority_router(state: Arc<EmulatorState>) -> Router {
    let authorize = || at(Endpoint::Authorize, authorize::authorize);
    let device = || at(Endpoint::Page, token::page);
    let arm = |answer| at(Endpoint::Arm, answer);
    Router::new()
        .route(
            "/{tenant}/v2.0/.well-known/openid-configuration",
            get(at(Endpoint::Metadata, metadata::configuration)),
        )
        .route("/{tenant}/discovery/v2.0/keys", get(at(Endpoint::Jwks, metadata::keys)))
        .route("/common/discovery/instance", get(at(Endpoint::Discovery, metadata::instance)))
        .route("/{tenant}/oauth2/v2.0/authorize", get(authorize()).post(authorize()))
        .route("/{tenant}/login", post(at(Endpoint::Page, authorize::login)))
        .route("/{tenant}/oauth2/v2.0/logout", get(at(Endpoint::Page, authorize::logout)))
        .route("/common/oauth2/nativeclient", get(at(Endpoint::Page, authorize::native_client)))
        .route("/{tenant}/oauth2/v2.0/token", post(at(Endpoint::Token, token::token)))
        .route(
            "/{tenant}/oauth2/v2.0/devicecode",
            post(at(Endpoint::DeviceCode, token::authorization)),
        )
        .route("/devicelogin", get(device()).post(device()))
        .route("/tenants", get(arm(arm::tenants)))
        .route("/subscriptions", get(arm(arm::subscriptions)))
        .merge(control::routes())
        .fallback(at(Endpoint::Page, nothing_here))
        .with_state(state)
}

/// The routes of the storage account.
pub(crate) fn blob_router(state: Arc<EmulatorState>) -> Router {
    let account = at(Endpoint::Blob, blob::account);
    let router = match state.host_names.account_path() {
        "" => Router::new().fallback(account),
        path => Router::new()
            .route(path, axum::routing::any(account.clone()))
            .route(&format!("{path}/{{*path}}"), axum::routing::any(account.clone()))
            .route(&format!("{path}/"), axum::routing::any(account))
            .fallback(at(Endpoint::Blob, no_such_account)),
    };
    router
        .route("/pop", axum::routing::any(at(Endpoint::Blob, pop::resource)))
        .route("/pop/{*path}", axum::routing::any(at(Endpoint::Blob, pop::resource)))
        .with_state(state)
}

type Answer = fn(&EmulatorState, &EndpointRequest) -> Reply;

/// Wraps a synchronous handler of a complete request into a handler for axum.
fn at(
    endpoint: Endpoint,
    answer: Answer,
) -> impl Fn(State<Arc<EmulatorState>>, Request) -> BoxFuture<'static, Response<Body>> + Clone {
    move |State(state), request| {
        async move { exchange(&state, endpoint, answer, request).await }.boxed()
    }
}

async fn exchange(
    state: &EmulatorState,
    endpoint: Endpoint,
    answer: Answer,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY).await.unwrap_or_else(|_| Bytes::new());
    let mut received = EndpointRequest::new(endpoint, &parts, &body, state.clock.now());
    let seq = state.requests().begin(received.entry());
    received.fault = state.faults().strike(&received.target());
    if let Some(Action::ClockOffsetSeconds(offset)) = received.fault {
        received.trace.now = received.trace.now.saturating_add(offset);
    }
    if let Some(Action::Stall(stall)) = received.fault {
        state.requests().finish(seq, "stall");
        match stall.milliseconds {
            Some(milliseconds) => tokio::time::sleep(Duration::from_millis(milliseconds)).await,
            None => std::future::pending().await,
        }
    }
    let reply = match &received.fault {
        Some(Action::Status(status)) => Reply::status(status, endpoint, &received.trace),
        Some(Action::Error(error)) => Reply::error(&error.to_entra_error(), &received.trace),
        _ => answer(state, &received),
    };
    let reply = match &received.fault {
        Some(action) => reply.spoiled(action),
        None => reply,
    };
    if let Some(Action::Cut(cut)) = received.fault {
        state.requests().finish(seq, "cut");
        return reply.into_cut_response(cut, &received.trace);
    }
    state.requests().finish(seq, &reply.outcome);
    reply.into_response(&received.trace)
}

fn nothing_here(_: &EmulatorState, received: &EndpointRequest) -> Reply {
    let page = Page::new("Nothing here").text(&received.path);
    Reply::page(&page, "404").with_status(404)
}

fn no_such_account(_: &EmulatorState, received: &EndpointRequest) -> Reply {
    blob::error(404, "ResourceNotFound", "The specified resource does not exist.", &received.trace)
}

async fn accept(socket: TcpListener, tls: TlsAcceptor, service: TowerToHyperService<Router>) {
    loop {
        match socket.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve_connection(stream, tls.clone(), service.clone()));
            }
            // Most likely there are no file descriptors left; other connections may end meanwhile.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve_connection(
    stream: TcpStream,
    tls: TlsAcceptor,
    service: TowerToHyperService<Router>,
) {
    let Ok(stream) = tls.accept(stream).await else {
        tracing::debug!("a client does not trust the certificate, or does not speak TLS");
        return;
    };
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let answer = service.call(request.map(Body::new));
        async move {
            let response = match answer.await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            if response.extensions().get::<ClosesConnection>().is_some() {
                return Err(io::Error::other("closed by a scripted fault"));
            }
            Ok(response)
        }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "connection ended");
    }
}
