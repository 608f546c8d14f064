use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keybearer_core::{Account, Error, Result};
use keybearer_engine::{AccountPick, Random, SignIn, SignInOutcome, SignInPrompt};
use keybearer_protocol::RedirectParameters;
use keybearer_protocol::authorize::ResponseMode;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use url::Url;

use super::view::View;
use crate::loopback::{FirstPage, Page};
use crate::random::random_hex;

/// How long a page with an error stays open if the person does not close the window.
const ERROR_PAGE_TIME: Duration = Duration::from_secs(300);

/// Windows that show the outcome of a sign-in. The next sign-in closes them, to use their profile
/// with the provider's session.
#[derive(Debug, Default)]
pub(super) struct OutcomeWindows(Mutex<Vec<OutcomeWindow>>);

#[derive(Debug)]
struct OutcomeWindow {
    /// Dropped to close the window.
    open: oneshot::Sender<()>,
    window: JoinHandle<()>,
}

impl OutcomeWindows {
    fn show(&self, mut view: View, time: Duration) {
        let (open, closing) = oneshot::channel();
        let window = tokio::spawn(async move {
            let _ = tokio::time::timeout(time, async {
                tokio::select! {
                    () = view.closed() => {}
                    _ = closing => {}
                }
            })
            .await;
            view.close().await;
        });
        let mut pages = self.pages();
        pages.retain(|page| !page.window.is_finished());
        pages.push(OutcomeWindow { open, window });
    }

    /// Closes the windows, and waits until they are closed.
    pub(super) async fn close(&self) {
        let pages = std::mem::take(&mut *self.pages());
        for OutcomeWindow { open, window } in pages {
            drop(open);
            let _ = window.await;
        }
    }

    fn pages(&self) -> MutexGuard<'_, Vec<OutcomeWindow>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One sign-in in a window of our own.
#[derive(Debug)]
pub(super) struct WindowSignIn {
    pub(super) prompt: SignInPrompt,
    pub(super) redirect_uri: Url,
    pub(super) view: View,
    pub(super) random: Arc<dyn Random>,
    pub(super) outcome_windows: Arc<OutcomeWindows>,
    /// The first page, which shows which program asks; `None` until it is shown.
    pub(super) first_page: Option<FirstPage>,
}

impl WindowSignIn {
    /// A page of ours as a `data:` URL.
    fn address_of(&self, page: &Page) -> Result<Url> {
        let html = page.standalone(&random_hex(&*self.random, 16));
        let address = format!("data:text/html;charset=utf-8;base64,{}", STANDARD.encode(html));
        Url::parse(&address).map_err(|error| {
            Error::internal("could not write the address of a page").with_source(error)
        })
    }
}

#[async_trait]
impl SignIn for WindowSignIn {
    fn redirect_uri(&self) -> &Url {
        &self.redirect_uri
    }

    /// Of a navigation that is stopped, only the query can be read.
    fn response_mode(&self) -> ResponseMode {
        ResponseMode::Query
    }

    async fn choose_account(&mut self, accounts: &[Account]) -> Result<AccountPick> {
        let random = Arc::clone(&self.random);
        let first_page = FirstPage::picker(&self.prompt, accounts, random).await?;
        self.view.visit(first_page.url()).await?;
        let first_page = self.first_page.insert(first_page);
        tokio::select! {
            biased;
            choice = first_page.choice() => choice,
            () = self.view.closed() => Err(closed()),
        }
    }

    async fn visit(&mut self, url: &Url) -> Result<()> {
        if self.first_page.is_some() {
            return self.view.visit(url).await;
        }
        let random = Arc::clone(&self.random);
        let first_page = FirstPage::start(&self.prompt, url, random).await?;
        self.view.visit(first_page.url()).await?;
        self.first_page = Some(first_page);
        Ok(())
    }

    async fn answer(&mut self) -> Result<RedirectParameters> {
        let first_page = self.first_page.as_mut();
        let cancelled = async {
            match first_page {
                Some(page) => page.cancelled().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            answer = self.view.answer() => answer.ok_or_else(closed),
            error = cancelled => Err(error),
        }
    }

    /// The previous page is still shown, and the right answer may come from it.
    async fn reject(&mut self) {}

    /// Closes the window after a success. After an error the page stays open for a while, but this
    /// does not wait for it.
    async fn finish(self: Box<Self>, outcome: SignInOutcome) {
        let time = match &outcome {
            SignInOutcome::SignedIn { .. } => Duration::ZERO,
            SignInOutcome::Failed { .. } => {
                if let Ok(address) = self.address_of(&Page::outcome(&outcome, &self.prompt)) {
                    let _ = self.view.visit(&address).await;
                }
                ERROR_PAGE_TIME
            }
        };
        self.outcome_windows.show(self.view, time);
    }
}

fn closed() -> Error {
    Error::cancelled("the sign-in window was closed")
}
