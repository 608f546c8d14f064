use std::sync::Arc;

use async_trait::async_trait;
use http::StatusCode;
use keybearer_core::{Account, Error, Result};
use keybearer_engine::{AccountPick, SignIn, SignInOutcome, SignInPrompt};
use keybearer_protocol::RedirectParameters;
use url::Url;

use super::listener::Listener;
use super::pages::{FinalMessage, Page};
use super::sign_in_server::{Offer, PendingReply, Reply, SignInEvents, SignInServer};
use crate::browser::{BrowserLauncher, Launch};

/// One sign-in through the loopback listener.
#[derive(Debug)]
pub(super) struct LoopbackSignIn {
    pub(super) prompt: SignInPrompt,
    pub(super) redirect_uri: Url,
    pub(super) launcher: Arc<dyn BrowserLauncher>,
    pub(super) server: Arc<SignInServer>,
    pub(super) events: SignInEvents,
    pub(super) listener: Listener,
    /// The browser request that waits for our reply.
    pub(super) pending_reply: Option<PendingReply>,
    pub(super) launch: Launch,
}

impl LoopbackSignIn {
    /// Redirects the waiting browser to the page. Returns whether one was waiting.
    fn redirect_pending(&mut self, url: &Url) -> bool {
        self.pending_reply.take().is_some_and(|pending| pending.reply(Reply::SeeOther(url.clone())))
    }

    /// Opens a browser on our first page, which shows which program asks and whose closing is noticed.
    async fn open_first_page(&mut self, page: Page, offer: Offer) -> Result<()> {
        self.server.offer(page, offer);
        let mut url = self.redirect_uri.clone();
        url.set_path(self.server.first_path());
        url.set_query(None);
        self.launch = self.launcher.open(&url).await?;
        Ok(())
    }
}

#[async_trait]
impl SignIn for LoopbackSignIn {
    fn redirect_uri(&self) -> &Url {
        &self.redirect_uri
    }

    async fn choose_account(&mut self, accounts: &[Account]) -> Result<AccountPick> {
        let page = Page::picker(&self.prompt, accounts, self.server.target());
        let ids = accounts.iter().map(|account| account.home_account_id.clone()).collect();
        self.open_first_page(page, Offer::Accounts(ids)).await?;
        let choice = tokio::select! {
            biased;
            choice = self.events.choices.recv() => choice,
            error = self.events.person.abandoned() => return Err(error),
            error = page_not_shown(&mut self.launch, &self.server) => return Err(error),
        };
        let choice = choice
            .ok_or_else(|| Error::internal("could not choose an account: no page is open"))?;
        // The browser works, so the exit status of its command no longer matters.
        self.launch = Launch::default();
        self.pending_reply = Some(choice.reply);
        Ok(choice.pick)
    }

    async fn visit(&mut self, url: &Url) -> Result<()> {
        if self.redirect_pending(url) {
            return Ok(());
        }
        let page = Page::start(&self.prompt, self.server.target());
        self.open_first_page(page, Offer::Visit(url.clone())).await
    }

    async fn answer(&mut self) -> Result<RedirectParameters> {
        let request = tokio::select! {
            biased;
            request = self.events.requests.recv() => request,
            error = self.events.person.abandoned() => return Err(error),
            error = page_not_shown(&mut self.launch, &self.server) => return Err(error),
        };
        let request = request
            .ok_or_else(|| Error::cancelled("the sign-in ended before its answer arrived"))?;
        self.launch = Launch::default();
        self.pending_reply = Some(request.reply);
        Ok(request.parameters)
    }

    async fn reject(&mut self) {
        if let Some(pending) = self.pending_reply.take() {
            pending.reply(Reply::Page(StatusCode::BAD_REQUEST, Page::rejected()));
        }
    }

    async fn finish(self: Box<Self>, outcome: SignInOutcome) {
        let Self { prompt, listener, events, pending_reply, .. } = *self;
        // First, because a tab that closes itself after this would count as cancelling.
        events.set_final_message(FinalMessage::of(&outcome));
        if let Some(pending) = pending_reply {
            pending.reply(Reply::Page(StatusCode::OK, Page::outcome(&outcome, &prompt)));
        }
        // Requests that are still queued get the page "The sign-in has ended".
        drop(events);
        listener.close().await;
    }
}

/// Waits until it is known that no page was opened. Once a browser has fetched the page, a failure of
/// the command or the caller that opened it does not matter: other callers may have joined.
async fn page_not_shown(launch: &mut Launch, server: &SignInServer) -> Error {
    let error = launch.failed().await;
    if server.is_shown() {
        tracing::debug!(%error, "the browser command failed, but the page is open");
        return std::future::pending().await;
    }
    error
}
