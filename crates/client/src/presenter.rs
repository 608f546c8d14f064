use std::fmt;

use async_trait::async_trait;
use keybearer_core::{Abilities, Presenter, Result};
use keybearer_host::{Browser, BrowserRoute, Environment, UserAgent};
use url::Url;

/// This process's way to a browser, for a broker that was started elsewhere: without a display, with
/// another one, or with another `BROWSER`.
#[derive(Clone)]
pub struct DesktopPresenter {
    browser: Browser,
    found: bool,
}

impl DesktopPresenter {
    /// The browser of this environment, if there is one.
    #[must_use]
    pub fn new(environment: &Environment) -> Self {
        let found = BrowserRoute::find(environment).is_ok();
        Self { browser: Browser::new(environment.clone()), found }
    }
}

#[async_trait]
impl Presenter for DesktopPresenter {
    fn abilities(&self) -> Abilities {
        Abilities { browser: self.found, terminal: None }
    }

    async fn open_browser(&self, url: &Url) -> Result<()> {
        self.browser.open(url).await?.settled().await
    }
}

impl fmt::Debug for DesktopPresenter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DesktopPresenter").field("found", &self.found).finish_non_exhaustive()
    }
}
