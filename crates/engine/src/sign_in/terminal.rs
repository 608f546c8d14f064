//! A sign-in in a browser on any machine. The caller's terminal shows the address and accepts the
//! pasted answer, and a listener may receive the answer as well. The first answer counts.

use std::pin::{Pin, pin};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::{Either, select};
use keybearer_core::{
    Account, AccountPick, CallerUi, Error, ErrorKind, Missing, PastedAnswer, Result, SignInAddress,
};
use keybearer_protocol::RedirectParameters;
use keybearer_protocol::authorize::ResponseMode;
use url::{Host, Url};

use crate::effects::{SignIn, SignInOutcome};

type Pasting = Pin<Box<dyn Future<Output = Result<PastedAnswer>> + Send>>;

/// A sign-in session in a terminal.
pub(crate) struct TerminalSignIn {
    caller_ui: Arc<dyn CallerUi>,
    listener: Option<Box<dyn SignIn>>,
    redirect_uri: Url,
    /// Kept while the listener rejects answers, so that a half typed answer is not lost.
    pasting: Option<Pasting>,
    complaint: Option<&'static str>,
    came_from: Source,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Listener,
    Terminal,
}

impl TerminalSignIn {
    /// A session with answers from the listener and from the terminal.
    pub(crate) fn listening(caller_ui: Arc<dyn CallerUi>, listener: Box<dyn SignIn>) -> Self {
        let redirect_uri = listener.redirect_uri().clone();
        Self { listener: Some(listener), ..Self::pasting(caller_ui, redirect_uri) }
    }

    /// A session with answers from the terminal only. Nothing listens at the redirect URI.
    pub(crate) fn pasting(caller_ui: Arc<dyn CallerUi>, redirect_uri: Url) -> Self {
        let came_from = Source::Terminal;
        Self { caller_ui, listener: None, redirect_uri, pasting: None, complaint: None, came_from }
    }

    fn paste(&self) -> Pasting {
        let (caller_ui, complaint) = (Arc::clone(&self.caller_ui), self.complaint);
        Box::pin(async move { caller_ui.paste(complaint).await })
    }

    /// The next answer, from either source.
    async fn next(&mut self) -> Result<Arrival> {
        let pasting = self.pasting.take().unwrap_or_else(|| self.paste());
        let Some(listener) = &mut self.listener else {
            return pasting.await.map(Arrival::Pasted);
        };
        let received = pin!(listener.answer());
        match select(received, pasting).await {
            Either::Left((answer, pasting)) => {
                self.pasting = Some(pasting);
                answer.map(Arrival::Received)
            }
            Either::Right((Ok(pasted), _)) => Ok(Arrival::Pasted(pasted)),
            // The terminal accepts no input, so only the listener is left.
            Either::Right((Err(error), received)) => match error.kind() {
                ErrorKind::Unavailable(Missing::UserInterface) => {
                    received.await.map(Arrival::Received)
                }
                _ => Err(error),
            },
        }
    }
}

enum Arrival {
    Received(RedirectParameters),
    Pasted(PastedAnswer),
}

#[async_trait]
impl SignIn for TerminalSignIn {
    fn redirect_uri(&self) -> &Url {
        &self.redirect_uri
    }

    /// In the query, so that the address bar shows the answer.
    fn response_mode(&self) -> ResponseMode {
        ResponseMode::Query
    }

    async fn choose_account(&mut self, accounts: &[Account]) -> Result<AccountPick> {
        self.caller_ui.choose_account(accounts).await
    }

    async fn visit(&mut self, url: &Url) -> Result<()> {
        let port = self.listener.as_ref().and_then(|_| self.redirect_uri.port_or_known_default());
        self.caller_ui.show_address(&SignInAddress { url: url.clone(), port }).await
    }

    async fn answer(&mut self) -> Result<RedirectParameters> {
        loop {
            match self.next().await? {
                Arrival::Received(parameters) => {
                    self.came_from = Source::Listener;
                    return Ok(parameters);
                }
                Arrival::Pasted(pasted) => match read_pasted(&pasted) {
                    Ok(parameters) => {
                        self.came_from = Source::Terminal;
                        return Ok(parameters);
                    }
                    Err(complaint) => self.complaint = Some(complaint),
                },
            }
        }
    }

    async fn reject(&mut self) {
        match (self.came_from, &mut self.listener) {
            (Source::Listener, Some(listener)) => listener.reject().await,
            _ => self.complaint = Some(ANOTHER_SIGN_IN),
        }
    }

    async fn finish(self: Box<Self>, outcome: SignInOutcome) {
        drop(self.pasting);
        if let Some(listener) = self.listener {
            listener.finish(outcome).await;
        }
    }
}

const ANOTHER_SIGN_IN: &str = "that answer belongs to another sign-in; open the address above";
const NO_ANSWER: &str = "the pasted text contains no answer; after signing in, copy the whole last \
                         address of the browser, even if the page shows an error";
const NO_STATE: &str = "the pasted address is incomplete; copy all of it, including state=";

/// Reads a pasted answer: an address, or its query. Ignores line breaks and quotes around it.
fn read_pasted(pasted: &PastedAnswer) -> Result<RedirectParameters, &'static str> {
    let text = zeroize::Zeroizing::new(
        pasted.expose().chars().filter(|c| !c.is_whitespace()).collect::<String>(),
    );
    let text = text.trim_matches(['"', '\'', '<', '>']);
    let query = text.split_once(['?', '#']).map_or(text, |(_, query)| query);
    let query = query.split('#').next().unwrap_or_default();
    let parameters = RedirectParameters::parse(query.as_bytes());
    let answered = parameters.has("code") || parameters.has("error");
    match (answered, parameters.has("state")) {
        (true, true) => Ok(parameters),
        (true, false) => Err(NO_STATE),
        (false, _) => Err(NO_ANSWER),
    }
}

/// The redirect URI of a sign-in whose answer is pasted: the one of the request if the browser then
/// shows the answer in its address bar, or `http://localhost/`, where nothing has to listen.
///
/// # Errors
/// `InvalidRequest` on `redirect_uri` if the browser would not show the answer.
pub(crate) fn paste_redirect_uri(requested: Option<&Url>) -> Result<Url> {
    let Some(requested) = requested else {
        return Url::parse("http://localhost/").map_err(|error| {
            Error::internal("could not build the loopback redirect URI").with_source(error)
        });
    };
    if is_native_client(requested) || is_loopback(requested) {
        return Ok(requested.clone());
    }
    let message = "could not sign in by pasting an address: the redirect URI is neither \
                   http://localhost nor the provider's nativeclient page";
    Err(Error::invalid_request("redirect_uri", message)
        .with_hint("register http://localhost as a mobile and desktop redirect URI of the app"))
}

/// Whether this is `https://login.microsoftonline.com/common/oauth2/nativeclient` or its
/// counterpart in another cloud: an empty page of the provider, at which the broker cannot listen.
pub(crate) fn is_native_client(url: &Url) -> bool {
    url.scheme() == "https" && url.path() == "/common/oauth2/nativeclient"
}

fn is_loopback(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "http" && loopback
}

/// The redirect URI with this port, if the request leaves the port open.
pub(crate) fn with_forwarded_port(requested: Option<&Url>, port: u16) -> Option<Url> {
    let mut url = requested.cloned().or_else(|| Url::parse("http://localhost/").ok())?;
    if !is_loopback(&url) || url.port().is_some() {
        return None;
    }
    url.set_port(Some(port)).ok().map(|()| url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_paste_is_read_in_every_shape() {
        for (pasted, expected) in [
            ("http://localhost:27410/?code=0.c-1&state=s%201&session_state=x#", Ok("0.c-1")),
            (" \"http://localhost/?code=0.c-1&state=s%201\"\n", Ok("0.c-1")),
            ("http://localhost/?code=0.c\n-1&st\r\nate=s%201", Ok("0.c-1")),
            ("<https://a.example/common/oauth2/nativeclient?code=0.c-1&state=s%201>", Ok("0.c-1")),
            ("http://localhost/#code=0.c-1&state=s%201", Ok("0.c-1")),
            ("code=0.c-1&state=s%201", Ok("0.c-1")),
            ("code=0.c-1", Err(NO_STATE)),
            ("0.c-1", Err(NO_ANSWER)),
            ("", Err(NO_ANSWER)),
            (
                "https://login.example/common/oauth2/v2.0/authorize?client_id=a&state=s",
                Err(NO_ANSWER),
            ),
        ] {
            let read = read_pasted(&PastedAnswer::new(pasted.to_owned()));
            let read = read.as_ref().map(|parameters| {
                assert_eq!(parameters.only("state"), Some("s 1"));
                parameters.only("code").unwrap()
            });
            assert_eq!(read, expected.as_ref().map(|code| *code), "{pasted}");
        }
        let refused = PastedAnswer::new("http://localhost/?error=access_denied&state=s".into());
        assert_eq!(read_pasted(&refused).unwrap().only("error"), Some("access_denied"));
    }

    #[test]
    fn a_browser_is_sent_where_it_stays() {
        const NATIVE: &str = "https://login.microsoftonline.com/common/oauth2/nativeclient";
        for (requested, paste, listen) in [
            (None, Some("http://localhost/"), Some("http://localhost:9/")),
            (Some("http://localhost"), Some("http://localhost/"), Some("http://localhost:9/")),
            (Some("http://127.0.0.1/x"), Some("http://127.0.0.1/x"), Some("http://127.0.0.1:9/x")),
            (Some("http://localhost:8400/"), Some("http://localhost:8400/"), None),
            (Some(NATIVE), Some(NATIVE), None),
            (Some("msauth.com.example.app://auth"), None, None),
            (Some("https://app.example/back"), None, None),
        ] {
            let requested = requested.map(|text| Url::parse(text).unwrap());
            let found = paste_redirect_uri(requested.as_ref()).ok();
            assert_eq!(found.as_ref().map(Url::as_str), paste);
            assert_eq!(
                with_forwarded_port(requested.as_ref(), 9).as_ref().map(Url::as_str),
                listen
            );
        }
    }
}
