use std::sync::Arc;

use async_trait::async_trait;
use keybearer_core::{CallerUi, Error, ErrorKind, Result};
use url::Url;

use crate::browser::{BrowserLauncher, Launch};

/// The browser of whoever asked for the sign-in, in its environment: this process may have been
/// started where there is no display, or another one.
#[derive(Clone, Debug)]
pub(crate) struct CallersBrowser(pub(crate) Arc<dyn CallerUi>);

#[async_trait]
impl BrowserLauncher for CallersBrowser {
    /// It said that it can.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The caller answers once the browser has had the time to fail; nobody waits for that.
    async fn open(&self, url: &Url) -> Result<Launch> {
        let (caller_ui, url) = (Arc::clone(&self.0), url.clone());
        Ok(Launch::watched(async move { caller_ui.open_browser(&url).await.map_err(lost) }))
    }
}

/// A caller that has left has not given the sign-in up for those who joined it.
fn lost(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Cancelled => {
            let message = "open the browser: the program that began the sign-in has ended";
            Error::transient(None, message).with_source(error).with_hint("sign in again")
        }
        _ => error,
    }
}
