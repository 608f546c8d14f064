use std::sync::Arc;

use async_trait::async_trait;
use http::StatusCode;
use keybearer_core::{Account, Error, Result};
use keybearer_engine::{AccountPick, SignIn, SignInOutcome, SignInPrompt};
use keybearer_protocol::RedirectParameters;
use url::Url;

use super::listener::Listener;
use super::pages::{LastWords, Page};
use super::sign_in_server::{Arrivals, Held, Offer, Reply, SignInServer};
use crate::browser::{BrowserLauncher, Launch};

/// One sign-in through the loopback listener.
#[derive(Debug)]
pub(super) struct LoopbackSignIn {
    pub(super) prompt: SignInPrompt,
    pub(super) redirect_uri: Url,
    pub(super) agent: Arc<dyn BrowserLauncher>,
    pub(super) desk: Arc<SignInServer>,
    pub(super) arrivals: Arrivals,
    pub(super) listener: Listener,
    /// The browser that waits to be told how to go on.
    pub(super) waiting: Option<Held>,
    pub(super) launch: Launch,
}

impl LoopbackSignIn {
    /// Sends the browser that waits to the page; whether there was one.
    fn send_on(&mut self, url: &Url) -> bool {
        self.waiting.take().is_some_and(|held| held.reply(Reply::SeeOther(url.clone())))
    }

    /// Opens a browser on our first page, which says who asks and can be seen to be closed.
    async fn begin(&mut self, page: Page, offer: Offer) -> Result<()> {
        self.desk.offer(page, offer);
        let mut url = self.redirect_uri.clone();
        url.set_path(self.desk.first_path());
        url.set_query(None);
        self.launch = self.agent.open(&url).await?;
        Ok(())
    }
}

#[async_trait]
impl SignIn for LoopbackSignIn {
    fn redirect_uri(&self) -> &Url {
        &self.redirect_uri
    }

    async fn choose_account(&mut self, accounts: &[Account]) -> Result<AccountPick> {
        let page = Page::picker(&self.prompt, accounts, self.desk.target());
        let ids = accounts.iter().map(|account| account.home_account_id.clone()).collect();
        self.begin(page, Offer::Accounts(ids)).await?;
        let choice = tokio::select! {
            biased;
            choice = self.arrivals.choices.recv() => choice,
            error = self.arrivals.person.departed() => return Err(error),
            error = unshown(&mut self.launch, &self.desk) => return Err(error),
        };
        let choice = choice.ok_or_else(|| Error::internal("choose an account: no page is open"))?;
        // The browser works, whatever its command returns later.
        self.launch = Launch::default();
        self.waiting = Some(choice.browser);
        Ok(choice.pick)
    }

    async fn visit(&mut self, url: &Url) -> Result<()> {
        if self.send_on(url) {
            return Ok(());
        }
        let page = Page::start(&self.prompt, self.desk.target());
        self.begin(page, Offer::Visit(url.clone())).await
    }

    async fn answer(&mut self) -> Result<RedirectParameters> {
        let hit = tokio::select! {
            biased;
            hit = self.arrivals.hits.recv() => hit,
            error = self.arrivals.person.departed() => return Err(error),
            error = unshown(&mut self.launch, &self.desk) => return Err(error),
        };
        let hit = hit.ok_or_else(|| Error::cancelled("wait for the answer of the sign-in"))?;
        self.launch = Launch::default();
        self.waiting = Some(hit.browser);
        Ok(hit.parameters)
    }

    async fn reject(&mut self) {
        if let Some(held) = self.waiting.take() {
            held.reply(Reply::Page(StatusCode::BAD_REQUEST, Page::rejected()));
        }
    }

    async fn finish(self: Box<Self>, outcome: SignInOutcome) {
        let Self { prompt, listener, arrivals, waiting, .. } = *self;
        // Before a tab closes itself, so that its closing is not taken for giving up.
        arrivals.tell(LastWords::of(&outcome));
        if let Some(held) = waiting {
            held.reply(Reply::Page(StatusCode::OK, Page::outcome(&outcome, &prompt)));
        }
        // Hits still in the queue are told that the sign-in has ended.
        drop(arrivals);
        listener.close().await;
    }
}

/// Waits until it is known that no page was shown. One that was fetched is, whatever becomes of the
/// command, or of the program, that opened it: others may have joined the sign-in.
async fn unshown(launch: &mut Launch, desk: &SignInServer) -> Error {
    let error = launch.failed().await;
    if desk.is_shown() {
        tracing::debug!(%error, "the page is open all the same");
        return std::future::pending().await;
    }
    error
}
