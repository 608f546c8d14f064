use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::Request;
use hyper::body::Incoming;
use keybearer_core::HomeAccountId;
use keybearer_engine::AccountPick;
use keybearer_protocol::RedirectParameters;
use tokio::sync::{mpsc, oneshot};
use url::Url;
use zeroize::Zeroizing;

use super::pages::{ACCOUNT, ANOTHER, CANCEL, Page, TOKEN};

/// No answer of a provider comes near.
const FORM_LIMIT: usize = 64 * 1024;
const FORM_TIMEOUT: Duration = Duration::from_secs(10);
/// How many hits may wait for their verdict.
const QUEUE: usize = 16;

/// What a browser is told.
#[derive(Debug)]
pub(super) enum Reply {
    /// A page of ours.
    Page(StatusCode, Page),
    /// Another page.
    SeeOther(Url),
    /// A method that means nothing here.
    NotAllowed,
}

/// A browser that waits for its reply; one that is dropped is told that the sign-in has ended.
#[derive(Debug)]
pub(super) struct Held(oneshot::Sender<Reply>);

impl Held {
    /// Whether the browser was still there.
    pub(super) fn reply(self, reply: Reply) -> bool {
        self.0.send(reply).is_ok()
    }
}

/// A hit on the redirect path.
#[derive(Debug)]
pub(super) struct Hit {
    pub(super) parameters: RedirectParameters,
    pub(super) browser: Held,
}

/// What the person chose; `None` is to give up.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) pick: Option<AccountPick>,
    pub(super) browser: Held,
}

/// Where the router hands in what arrives and the session takes it.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) port: u16,
    redirect_path: String,
    picker_path: String,
    /// Against forms of other pages; the path is random as well.
    pub(super) token: String,
    picker: Mutex<Option<Picker>>,
    hits: mpsc::Sender<Hit>,
    choices: mpsc::Sender<Choice>,
}

#[derive(Debug)]
struct Picker {
    page: Page,
    accounts: Vec<HomeAccountId>,
}

/// The session's side of the desk.
#[derive(Debug)]
pub(super) struct Arrivals {
    pub(super) hits: mpsc::Receiver<Hit>,
    pub(super) choices: mpsc::Receiver<Choice>,
}

impl Desk {
    /// `nonce` and `token` are random.
    pub(super) fn new(redirect_uri: &Url, nonce: &str, token: String) -> (Arc<Self>, Arrivals) {
        let (hits, hits_in) = mpsc::channel(QUEUE);
        let (choices, choices_in) = mpsc::channel(1);
        let desk = Self {
            port: redirect_uri.port_or_known_default().unwrap_or_default(),
            redirect_path: redirect_uri.path().to_owned(),
            picker_path: format!("/{nonce}/accounts"),
            token,
            picker: Mutex::default(),
            hits,
            choices,
        };
        (Arc::new(desk), Arrivals { hits: hits_in, choices: choices_in })
    }

    /// The picker's path.
    pub(super) fn picker_path(&self) -> &str {
        &self.picker_path
    }

    /// Shows the picker from now on, until a choice is made.
    pub(super) fn offer(&self, page: Page, accounts: Vec<HomeAccountId>) {
        *self.picker() = Some(Picker { page, accounts });
    }

    /// Answers one request, which may take as long as the sign-in.
    pub(super) async fn serve(&self, request: Request<Incoming>) -> Reply {
        if !self.is_addressed(request.headers()) {
            return page(
                StatusCode::MISDIRECTED_REQUEST,
                "Not here",
                "This address does not belong to this machine's sign-in.",
            );
        }
        let path = request.uri().path();
        if path == self.redirect_path {
            self.redirected(request).await
        } else if path == self.picker_path {
            self.picked(request).await
        } else {
            nothing_here()
        }
    }

    /// Another name in `Host` means that somebody's domain leads here (DNS rebinding).
    fn is_addressed(&self, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(header::HOST).into_iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
        let own = ["localhost", "127.0.0.1", "[::1]"];
        let named = |name: &&str| host.as_bytes().eq_ignore_ascii_case(name.as_bytes());
        own.iter().any(|name| named(&&*format!("{name}:{}", self.port)))
            || (self.port == 80 && own.iter().any(named))
    }

    async fn redirected(&self, request: Request<Incoming>) -> Reply {
        let parameters = match *request.method() {
            Method::GET => {
                RedirectParameters::parse(request.uri().query().unwrap_or_default().as_bytes())
            }
            Method::POST => match form(request).await {
                Ok(form) => RedirectParameters::parse(&form),
                Err(reply) => return reply,
            },
            // A preview of a link is not an answer.
            Method::HEAD => return nothing_here(),
            _ => return Reply::NotAllowed,
        };
        if parameters.is_empty() {
            return nothing_here();
        }
        let (sender, reply) = oneshot::channel();
        match self.hits.try_send(Hit { parameters, browser: Held(sender) }) {
            Ok(()) => reply.await.unwrap_or_else(|_| ended()),
            Err(mpsc::error::TrySendError::Closed(_)) => ended(),
            Err(mpsc::error::TrySendError::Full(_)) => {
                page(StatusCode::SERVICE_UNAVAILABLE, "Busy", "Too many answers at once.")
            }
        }
    }

    async fn picked(&self, request: Request<Incoming>) -> Reply {
        match *request.method() {
            Method::GET | Method::HEAD => match &*self.picker() {
                Some(picker) => Reply::Page(StatusCode::OK, picker.page.clone()),
                None => already_chosen(),
            },
            Method::POST => match form(request).await {
                Ok(form) => self.chosen(&RedirectParameters::parse(&form)).await,
                Err(reply) => reply,
            },
            _ => Reply::NotAllowed,
        }
    }

    async fn chosen(&self, form: &RedirectParameters) -> Reply {
        let unknown =
            || page(StatusCode::BAD_REQUEST, "Not accepted", "This is not one of the choices.");
        if form.only(TOKEN) != Some(self.token.as_str()) {
            return unknown();
        }
        let pick = {
            let mut picker = self.picker();
            let Some(offered) = &*picker else { return already_chosen() };
            let pick = match form.only(ACCOUNT) {
                Some(CANCEL) => None,
                Some(ANOTHER) => Some(AccountPick::Another),
                Some(id) => match offered.accounts.iter().find(|own| own.as_str() == id) {
                    Some(id) => Some(AccountPick::Known(id.clone())),
                    None => return unknown(),
                },
                None => return unknown(),
            };
            *picker = None;
            pick
        };
        let (sender, reply) = oneshot::channel();
        let handed_in = self.choices.try_send(Choice { pick, browser: Held(sender) });
        if handed_in.is_err() {
            return ended();
        }
        reply.await.unwrap_or_else(|_| ended())
    }

    fn picker(&self) -> std::sync::MutexGuard<'_, Option<Picker>> {
        self.picker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn form(request: Request<Incoming>) -> Result<Zeroizing<Vec<u8>>, Reply> {
    let body = Limited::new(request.into_body(), FORM_LIMIT).collect();
    match tokio::time::timeout(FORM_TIMEOUT, body).await {
        Ok(Ok(body)) => Ok(Zeroizing::new(Bytes::into(body.to_bytes()))),
        Ok(Err(_)) => {
            Err(page(StatusCode::PAYLOAD_TOO_LARGE, "Not accepted", "The form is too large."))
        }
        Err(_) => Err(page(StatusCode::REQUEST_TIMEOUT, "Too slow", "The form did not arrive.")),
    }
}

fn page(status: StatusCode, title: &'static str, sentence: &str) -> Reply {
    Reply::Page(status, Page::notice(title, sentence))
}

fn ended() -> Reply {
    Reply::Page(StatusCode::OK, Page::ended())
}

fn nothing_here() -> Reply {
    page(StatusCode::NOT_FOUND, "Nothing here", "There is no page at this address.")
}

fn already_chosen() -> Reply {
    page(StatusCode::OK, "Already chosen", "An account was chosen already.")
}
