use std::fmt;

use async_trait::async_trait;
use keybearer_core::{Abilities, CallerUi, Result};
use keybearer_host::{Browser, BrowserLauncher, BrowserRoute, Environment};
use url::Url;

/// This process's way to a browser, for a broker that was started elsewhere: without a display, with
/// another one, or with another `BROWSER`.
#[derive(Clone)]
pub struct DesktopUi {
    browser: Browser,
    found: bool,
}

impl DesktopUi {
    /// The browser of this environment, if there is one.
    #[must_use]
    pub fn new(environment: &Environment) -> Self {
        let found = BrowserRoute::find(environment).is_ok();
        Self { browser: Browser::new(environment.clone()), found }
    }
}

#[async_trait]
impl CallerUi for DesktopUi {
    fn abilities(&self) -> Abilities {
        Abilities { browser: self.found, terminal: None }
    }

    async fn open_browser(&self, url: &Url) -> Result<()> {
        self.browser.open(url).await?.settled().await
    }
}

impl fmt::Debug for DesktopUi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DesktopUi").field("found", &self.found).finish_non_exhaustive()
    }
}
