//! How a person signs in: decided by the request's redirect URI and what this machine has.
//!
//! An ordinary sign-in runs in the person's own browser: their passwords, passkeys and sessions are
//! there, and no app can read them (RFC 8252 §8.12). Our own window is for redirect URIs at which
//! nothing listens: unlike the person's browser, it can be watched for a navigation to them.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use keybearer_core::{Error, ErrorKind, Missing, Result};
use keybearer_engine::{SignIn, SignInPrompt, SignInUi};
use url::Url;

use crate::browser::BrowserRoute;
use crate::environment::Environment;
use crate::loopback::is_native_client;

/// A user interface to sign a person in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ui {
    /// A browser window of our own, which is watched for the redirect URI.
    Window,
    /// The person's browser, and a listener on the loopback interface.
    Browser,
}

/// What this machine has to sign a person in.
#[derive(Clone, Debug)]
pub struct AvailableUi {
    /// How the person's browser is opened, or why it cannot be.
    pub browser: Result<BrowserRoute>,
    /// The program for our window, or why there can be no window.
    pub window: Result<PathBuf>,
}

impl AvailableUi {
    /// Looks at this environment.
    #[must_use]
    pub fn of(environment: &Environment) -> Self {
        let display = environment.has("DISPLAY") || environment.has("WAYLAND_DISPLAY");
        let window = match display {
            true => window_browser(environment),
            false => Err(no_window("there is no display")),
        };
        Self { browser: BrowserRoute::find(environment), window }
    }
}

#[cfg(unix)]
fn window_browser(environment: &Environment) -> Result<PathBuf> {
    crate::window::WindowBrowser::find(environment).map(|browser| browser.program)
}

#[cfg(not(unix))]
fn window_browser(_environment: &Environment) -> Result<PathBuf> {
    Err(no_window("not on this system"))
}

impl Ui {
    /// The user interfaces to try for a request with this redirect URI, the best first.
    ///
    /// The native-client address needs our window. Without a window, `http://localhost` is used
    /// instead, which the provider accepts if the app has registered it as well. Any other redirect
    /// URI, or none, is for the browser.
    #[must_use]
    pub fn order(redirect_uri: Option<&Url>, available: &AvailableUi) -> Vec<Self> {
        let native_client = redirect_uri.is_some_and(is_native_client);
        let window = native_client && available.window.is_ok();
        // The browser is always last: where nothing is available, its error has the useful hint.
        window.then_some(Self::Window).into_iter().chain([Self::Browser]).collect()
    }
}

/// Signs a person in with the first user interface that works.
#[derive(Debug)]
pub(crate) struct FirstAvailableUi {
    pub(crate) environment: Environment,
    pub(crate) browser: Arc<dyn SignInUi>,
    /// `None` on systems without our window.
    pub(crate) window: Option<Arc<dyn SignInUi>>,
}

impl FirstAvailableUi {
    const fn sign_in_ui(&self, ui: Ui) -> Option<&Arc<dyn SignInUi>> {
        match ui {
            Ui::Window => self.window.as_ref(),
            Ui::Browser => Some(&self.browser),
        }
    }
}

#[async_trait]
impl SignInUi for FirstAvailableUi {
    /// If a user interface does not work here, the next is tried; the last error is returned.
    async fn open(&self, prompt: &SignInPrompt) -> Result<Box<dyn SignIn>> {
        let available = AvailableUi::of(&self.environment);
        let mut last = None;
        for ui in Ui::order(prompt.redirect_uri.as_ref(), &available) {
            let Some(sign_in_ui) = self.sign_in_ui(ui) else { continue };
            match sign_in_ui.open(prompt).await {
                Err(error) if *error.kind() == ErrorKind::Unavailable(Missing::UserInterface) => {
                    let correlation_id = &prompt.correlation_id;
                    tracing::debug!(%correlation_id, ?ui, %error, "this user interface does not work here");
                    last = Some(error);
                }
                decided => return decided,
            }
        }
        Err(last
            .unwrap_or_else(|| Error::internal("could not sign in: no user interface was tried")))
    }

    /// A listener on the loopback interface works even without a browser.
    async fn listen(&self, prompt: &SignInPrompt) -> Result<Box<dyn SignIn>> {
        self.browser.listen(prompt).await
    }
}

pub(crate) fn no_window(detail: &str) -> Error {
    Error::unavailable(Missing::UserInterface, format!("could not open a sign-in window: {detail}")).with_hint(
        "for apps with the native-client redirect URI, install Chromium, Chrome or Edge (not as a \
         snap), or keybearer-webkit-window, or register http://localhost as a mobile and desktop redirect URI of the app",
    )
}

#[cfg(test)]
mod tests {
    use keybearer_core::{AuthorityHost, Caller, ClientId, CorrelationId, ScopeSet, Tenant};

    use super::*;

    const NATIVE_CLIENT: &str = "https://login.microsoftonline.com/common/oauth2/nativeclient";

    #[test]
    fn the_native_client_address_is_for_the_window_and_everything_else_for_the_browser() {
        let window = || Ok(PathBuf::from("/usr/bin/chromium"));
        let none = || Err(no_window("none"));
        for (redirect_uri, window, expected) in [
            (Some(NATIVE_CLIENT), window(), vec![Ui::Window, Ui::Browser]),
            (Some(NATIVE_CLIENT), none(), vec![Ui::Browser]),
            (
                Some("https://login.microsoftonline.us/common/oauth2/nativeclient"),
                window(),
                vec![Ui::Window, Ui::Browser],
            ),
            (Some("http://localhost"), window(), vec![Ui::Browser]),
            (Some("http://localhost:8400/x"), window(), vec![Ui::Browser]),
            (Some("https://contoso.example/back"), window(), vec![Ui::Browser]),
            (Some("msauth.com.example.app://auth"), window(), vec![Ui::Browser]),
            (None, window(), vec![Ui::Browser]),
        ] {
            let available = AvailableUi { browser: Err(no_window("none")), window };
            let redirect_uri = redirect_uri.map(|uri| Url::parse(uri).unwrap());
            assert_eq!(Ui::order(redirect_uri.as_ref(), &available), expected);
        }
    }

    #[test]
    fn without_a_display_there_is_no_window() {
        let named = ("KEYBEARER_WINDOW_BROWSER", "/bin/sh");
        let window = |pairs: &[(&str, &str)]| {
            AvailableUi::of(&Environment::from_pairs(pairs.iter().copied())).window.is_ok()
        };
        assert!(!window(&[named]));
        assert_eq!(window(&[named, ("DISPLAY", ":0")]), cfg!(unix));
        assert_eq!(window(&[named, ("WAYLAND_DISPLAY", "wayland-0")]), cfg!(unix));
    }

    #[derive(Debug)]
    struct Fails(Error);

    #[async_trait]
    impl SignInUi for Fails {
        async fn open(&self, _: &SignInPrompt) -> Result<Box<dyn SignIn>> {
            Err(self.0.clone())
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_way_that_does_not_work_gives_way_to_the_next_and_other_errors_are_final() {
        let prompt = SignInPrompt {
            caller: Caller::in_process(),
            client_id: ClientId::parse("app-1").unwrap(),
            authority_host: AuthorityHost::parse("login.example").unwrap(),
            tenant: Tenant::Organizations,
            scopes: ScopeSet::parse(&["User.Read"]).unwrap(),
            redirect_uri: Some(Url::parse(NATIVE_CLIENT).unwrap()),
            correlation_id: CorrelationId::new("c-1"),
            caller_ui: None,
        };
        let last = Error::invalid_request("redirect_uri", "the browser was tried");
        for (window, expected) in [
            (no_window("it does not start"), "the browser was tried"),
            (Error::internal("the profile is not ours"), "the profile is not ours"),
        ] {
            let pairs = [("KEYBEARER_WINDOW_BROWSER", "/bin/sh"), ("DISPLAY", ":0")];
            let ui = FirstAvailableUi {
                environment: Environment::from_pairs(pairs),
                browser: Arc::new(Fails(last.clone())),
                window: Some(Arc::new(Fails(window))),
            };
            let error = ui.open(&prompt).await.err().unwrap();
            assert!(error.message().contains(expected), "{error}");
        }
    }
}
