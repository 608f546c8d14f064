use std::sync::Arc;

use async_trait::async_trait;
use keybearer_core::{Presenter, Result};
use url::Url;

use crate::browser::{Launch, UserAgent};

/// The browser of whoever asked for the sign-in, in its environment: this process may have been
/// started where there is no display, or another one.
#[derive(Clone, Debug)]
pub(crate) struct CallersBrowser(pub(crate) Arc<dyn Presenter>);

#[async_trait]
impl UserAgent for CallersBrowser {
    /// It said that it can.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The caller answers once the browser has had the time to fail; nobody waits for that.
    async fn open(&self, url: &Url) -> Result<Launch> {
        let (presenter, url) = (Arc::clone(&self.0), url.clone());
        Ok(Launch::watched(async move { presenter.open_browser(&url).await }))
    }
}
