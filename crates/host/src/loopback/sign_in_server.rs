use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::Request;
use hyper::body::Incoming;
use keybearer_core::{Error, HomeAccountId};
use keybearer_engine::AccountPick;
use keybearer_protocol::RedirectParameters;
use tokio::sync::{mpsc, oneshot, watch};
use url::Url;
use zeroize::Zeroizing;

use super::pages::{
    ACCOUNT, ANOTHER, CANCEL, CONTINUE, FinalMessage, OTHER_TAB, PRESENCE, Page, TAB, TOKEN, Target,
};
use super::tab_watch::{Abandonment, TabWatch};

/// Much more than any answer of a provider.
const FORM_LIMIT: usize = 64 * 1024;
const FORM_TIMEOUT: Duration = Duration::from_secs(10);
/// How many requests to the redirect path may wait for the engine.
const QUEUE: usize = 16;

/// A reply to a browser.
#[derive(Debug)]
pub(super) enum Reply {
    /// A page of ours.
    Page(StatusCode, Page),
    /// A redirect to another page.
    SeeOther(Url),
    /// A message that is sent when the sign-in ends; the open request shows that the page is open.
    Stream(mpsc::Receiver<Bytes>),
    /// The method is not allowed here.
    NotAllowed,
}

/// A browser request that waits for its reply. If this is dropped, the browser gets the page "The
/// sign-in has ended".
#[derive(Debug)]
pub(super) struct PendingReply(oneshot::Sender<Reply>);

impl PendingReply {
    /// Replies. Returns whether the browser was still waiting.
    pub(super) fn reply(self, reply: Reply) -> bool {
        self.0.send(reply).is_ok()
    }
}

/// A request to the redirect path.
#[derive(Debug)]
pub(super) struct IncomingRequest {
    pub(super) parameters: RedirectParameters,
    pub(super) reply: PendingReply,
}

/// The account that the person chose.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) pick: AccountPick,
    pub(super) reply: PendingReply,
}

/// The server of one sign-in. Requests of browsers go through it to the session, as [`SignInEvents`].
#[derive(Debug)]
pub(super) struct SignInServer {
    pub(super) port: u16,
    redirect_path: String,
    first_path: String,
    presence_path: String,
    /// Protects against forms of other pages (cross-site request forgery); the path is random as well.
    token: String,
    pending_page: Mutex<Option<PendingPage>>,
    /// Whether a browser has fetched the first page since it last changed.
    shown: AtomicBool,
    tab_watch: Arc<TabWatch>,
    final_message: watch::Receiver<Option<FinalMessage>>,
    requests: mpsc::Sender<IncomingRequest>,
    choices: mpsc::Sender<Choice>,
}

#[derive(Debug)]
struct PendingPage {
    page: Page,
    offer: Offer,
}

/// What the form of the first page leads to.
#[derive(Debug)]
pub(super) enum Offer {
    /// The choice of one of these accounts.
    Accounts(Vec<HomeAccountId>),
    /// A redirect to this page of the provider.
    Visit(Url),
}

/// What the server reports to the session.
#[derive(Debug)]
pub(super) struct SignInEvents {
    pub(super) requests: mpsc::Receiver<IncomingRequest>,
    pub(super) choices: mpsc::Receiver<Choice>,
    pub(super) person: PersonWatch,
    final_message: watch::Sender<Option<FinalMessage>>,
}

/// Reports when the person abandons the sign-in.
#[derive(Debug)]
pub(super) struct PersonWatch(watch::Receiver<Option<Abandonment>>);

impl PersonWatch {
    /// Waits until the person abandons the sign-in; forever if they do not.
    pub(super) async fn abandoned(&mut self) -> Error {
        match self.0.wait_for(Option::is_some).await.map(|abandonment| *abandonment) {
            Ok(Some(Abandonment::PageClosed)) => {
                Error::cancelled("the page of the sign-in was closed")
            }
            Ok(_) => Error::cancelled("the person cancelled the sign-in"),
            // The server is dropped before this value only if the session is gone.
            Err(_) => std::future::pending().await,
        }
    }
}

impl SignInEvents {
    /// Sends the page that stays open the outcome of the sign-in.
    pub(super) fn set_final_message(&self, final_message: FinalMessage) {
        let left = self.person.0.borrow().is_some();
        let final_message = if left { FinalMessage::cancelled() } else { final_message };
        self.final_message.send_replace(Some(final_message));
    }
}

impl SignInServer {
    /// `nonce` and `token` are random.
    pub(super) fn new(redirect_uri: &Url, nonce: &str, token: String) -> (Arc<Self>, SignInEvents) {
        let (requests, requests_in) = mpsc::channel(QUEUE);
        let (choices, choices_in) = mpsc::channel(1);
        let (tab_watch, abandoned) = TabWatch::new();
        let (message_sender, final_message) = watch::channel(None);
        let first_path = format!("/{nonce}/sign-in");
        let server = Self {
            port: redirect_uri.port_or_known_default().unwrap_or_default(),
            redirect_path: redirect_uri.path().to_owned(),
            presence_path: format!("{first_path}/{PRESENCE}"),
            first_path,
            token,
            pending_page: Mutex::default(),
            shown: AtomicBool::default(),
            tab_watch,
            final_message,
            requests,
            choices,
        };
        let events = SignInEvents {
            requests: requests_in,
            choices: choices_in,
            person: PersonWatch(abandoned),
            final_message: message_sender,
        };
        (Arc::new(server), events)
    }

    /// The path of the first page.
    pub(super) fn first_path(&self) -> &str {
        &self.first_path
    }

    /// Where the form of the first page is sent.
    pub(super) fn target(&self) -> Target<'_> {
        Target { path: &self.first_path, token: &self.token }
    }

    /// Serves this first page from now on, until its form is sent.
    pub(super) fn offer(&self, page: Page, offer: Offer) {
        *self.pending_page() = Some(PendingPage { page, offer });
        self.shown.store(false, Ordering::Relaxed);
    }

    /// Whether a browser has fetched the first page since it was offered.
    pub(super) fn is_shown(&self) -> bool {
        self.shown.load(Ordering::Relaxed)
    }

    /// Replies to one request, which may take as long as the sign-in.
    pub(super) async fn serve(&self, request: Request<Incoming>) -> Reply {
        if !self.is_addressed(request.headers()) {
            return page(
                StatusCode::MISDIRECTED_REQUEST,
                "Not here",
                "This is not the address of a sign-in on this machine.",
            );
        }
        let path = request.uri().path();
        if path == self.redirect_path {
            self.redirected(request).await
        } else if path == self.first_path {
            self.first(request).await
        } else if path == self.presence_path && request.method() == Method::GET {
            self.watch_tab()
        } else {
            nothing_here()
        }
    }

    /// Another name in `Host` means that a foreign domain resolves to this machine (DNS rebinding).
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
            // A link preview is not an answer.
            Method::HEAD => return nothing_here(),
            _ => return Reply::NotAllowed,
        };
        if parameters.is_empty() {
            return nothing_here();
        }
        let (sender, reply) = oneshot::channel();
        match self.requests.try_send(IncomingRequest { parameters, reply: PendingReply(sender) }) {
            Ok(()) => reply.await.unwrap_or_else(|_| ended()),
            Err(mpsc::error::TrySendError::Closed(_)) => ended(),
            Err(mpsc::error::TrySendError::Full(_)) => {
                page(StatusCode::SERVICE_UNAVAILABLE, "Busy", "Too many answers arrived at once.")
            }
        }
    }

    async fn first(&self, request: Request<Incoming>) -> Reply {
        match *request.method() {
            Method::GET => {
                self.tab_watch.loading();
                self.shown.store(true, Ordering::Relaxed);
                self.first_page()
            }
            Method::HEAD => self.first_page(),
            Method::POST => match form(request).await {
                Ok(form) => self.chosen(&RedirectParameters::parse(&form)).await,
                Err(reply) => reply,
            },
            _ => Reply::NotAllowed,
        }
    }

    fn first_page(&self) -> Reply {
        let page = match &*self.pending_page() {
            _ if self.tab_watch.abandonment().is_some() => Page::cancelled(),
            Some(pending_page) => pending_page.page.clone(),
            None => Page::waiting(self.target()),
        };
        Reply::Page(StatusCode::OK, page)
    }

    /// Replies to the request that the first page keeps open until it is closed.
    fn watch_tab(&self) -> Reply {
        let (open_page, mut final_message) =
            (self.tab_watch.open_page(), self.final_message.clone());
        let (stream, body) = mpsc::channel(1);
        tokio::spawn(async move {
            let message = tokio::select! {
                message = final_message.wait_for(Option::is_some) => message.ok().and_then(|message| message.clone()),
                () = stream.closed() => None,
            };
            drop(open_page);
            if let Some(message) = message.and_then(|message| serde_json::to_vec(&message).ok()) {
                // The page may have been closed by now.
                let _ = stream.send(message.into()).await;
            }
        });
        Reply::Stream(body)
    }

    async fn chosen(&self, form: &RedirectParameters) -> Reply {
        let unknown =
            || page(StatusCode::BAD_REQUEST, "Not accepted", "This is not one of the choices.");
        if form.only(TOKEN) != Some(self.token.as_str()) {
            return unknown();
        }
        let Some(choice) = form.only(ACCOUNT) else { return unknown() };
        if choice == CANCEL {
            self.pending_page().take();
            self.tab_watch.cancel();
            return Reply::Page(StatusCode::OK, Page::cancelled());
        }
        let pick = {
            let mut pending_page = self.pending_page();
            let Some(PendingPage { offer, .. }) = &*pending_page else { return already_chosen() };
            let pick = match offer {
                Offer::Visit(url) if choice == CONTINUE => Err(url.clone()),
                Offer::Accounts(_) if choice == ANOTHER => Ok(AccountPick::Another),
                Offer::Accounts(accounts) => {
                    match accounts.iter().find(|own| own.as_str() == choice) {
                        Some(id) => Ok(AccountPick::Known(id.clone())),
                        None => return unknown(),
                    }
                }
                Offer::Visit(_) => return unknown(),
            };
            *pending_page = None;
            pick
        };
        if form.only(TAB) != Some(OTHER_TAB) {
            self.tab_watch.navigates_away();
        }
        let pick = match pick {
            Ok(pick) => pick,
            Err(url) => return Reply::SeeOther(url),
        };
        let (sender, reply) = oneshot::channel();
        let handed_in = self.choices.try_send(Choice { pick, reply: PendingReply(sender) });
        if handed_in.is_err() {
            return ended();
        }
        reply.await.unwrap_or_else(|_| ended())
    }

    fn pending_page(&self) -> MutexGuard<'_, Option<PendingPage>> {
        self.pending_page.lock().unwrap_or_else(PoisonError::into_inner)
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
    page(StatusCode::OK, "Already chosen", "An account has already been chosen.")
}
