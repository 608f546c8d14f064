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
    /// The browser that waits to be told how to go on.
    pub(super) pending_reply: Option<PendingReply>,
    pub(super) launch: Launch,
}

impl LoopbackSignIn {
    /// Sends the browser that waits to the page; whether there was one.
    fn redirect_pending(&mut self, url: &Url) -> bool {
        self.pending_reply.take().is_some_and(|pending| pending.reply(Reply::SeeOther(url.clone())))
    }

    /// Opens a browser on our first page, which says who asks and can be seen to be closed.
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
        let choice = choice.ok_or_else(|| Error::internal("choose an account: no page is open"))?;
        // The browser works, whatever its command returns later.
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
        let request =
            request.ok_or_else(|| Error::cancelled("wait for the answer of the sign-in"))?;
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
        // Before a tab closes itself, so that its closing is not taken for giving up.
        events.set_final_message(FinalMessage::of(&outcome));
        if let Some(pending) = pending_reply {
            pending.reply(Reply::Page(StatusCode::OK, Page::outcome(&outcome, &prompt)));
        }
        // Hits still in the queue are told that the sign-in has ended.
        drop(events);
        listener.close().await;
    }
}

/// Waits until it is known that no page was shown. One that was fetched is, whatever becomes of the
/// command, or of the program, that opened it: others may have joined the sign-in.
async fn page_not_shown(launch: &mut Launch, server: &SignInServer) -> Error {
    let error = launch.failed().await;
    if server.is_shown() {
        tracing::debug!(%error, "the page is open all the same");
        return std::future::pending().await;
    }
    error
}
