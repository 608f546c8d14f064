use std::sync::Arc;

use async_trait::async_trait;
use keybearer_core::{CallerUi, Error, ErrorKind, Result};
use url::Url;

use crate::browser::{BrowserLauncher, Launch};

/// The browser of the caller, opened in the caller's environment: this process may have been started
/// without a display, or with another one.
#[derive(Clone, Debug)]
pub(crate) struct CallersBrowser(pub(crate) Arc<dyn CallerUi>);

#[async_trait]
impl BrowserLauncher for CallersBrowser {
    /// The caller has declared that it can open a browser.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The caller replies when the browser has run too long to be a failure; this does not wait for the
    /// reply.
    async fn open(&self, url: &Url) -> Result<Launch> {
        let (caller_ui, url) = (Arc::clone(&self.0), url.clone());
        Ok(Launch::watched(async move { caller_ui.open_browser(&url).await.map_err(lost) }))
    }
}

/// A caller that has ended cancels its own sign-in only: other callers may have joined it.
fn lost(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Cancelled => {
            let message =
                "could not open the browser: the program that started the sign-in has ended";
            Error::transient(None, message).with_source(error).with_hint("sign in again")
        }
        _ => error,
    }
}
