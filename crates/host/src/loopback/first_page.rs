use std::sync::Arc;

use http::StatusCode;
use keybearer_core::{Account, Error, Result};
use keybearer_engine::{AccountPick, Random, SignInPrompt};
use url::Url;

use super::listener::Listener;
use super::pages::{Page, Target};
use super::redirect_target::RedirectTarget;
use super::sign_in_server::{Offer, Reply, SignInEvents, SignInServer};
use crate::random::random_hex;

/// The first page of a sign-in in our own window. The window itself notices closing and receives the
/// answer.
#[derive(Debug)]
pub(crate) struct FirstPage {
    url: Url,
    events: SignInEvents,
    /// Held because dropping it closes the port.
    _listener: Listener,
}

impl FirstPage {
    /// A page on which the person chooses an account.
    pub(crate) async fn picker(
        prompt: &SignInPrompt,
        accounts: &[Account],
        random: Arc<dyn Random>,
    ) -> Result<Self> {
        let ids = accounts.iter().map(|account| account.home_account_id.clone()).collect();
        let page = |target: Target<'_>| Page::picker(prompt, accounts, target);
        Self::serve(page, Offer::Accounts(ids), random).await
    }

    /// A page that shows which program asks, and leads to this page of the provider.
    pub(crate) async fn start(
        prompt: &SignInPrompt,
        provider: &Url,
        random: Arc<dyn Random>,
    ) -> Result<Self> {
        let page = |target: Target<'_>| Page::start(prompt, target);
        Self::serve(page, Offer::Visit(provider.clone()), random).await
    }

    /// Serves the page on any port.
    async fn serve(
        page: impl FnOnce(Target<'_>) -> Page,
        offer: Offer,
        random: Arc<dyn Random>,
    ) -> Result<Self> {
        let target = RedirectTarget::bind(None).await?;
        let (nonce, token) = (random_hex(&*random, 16), random_hex(&*random, 16));
        let (server, events) = SignInServer::new(&target.redirect_uri, &nonce, token);
        server.offer(page(server.target()).without_script(), offer);
        let mut url = target.redirect_uri;
        url.set_path(server.first_path());
        let listener = Listener::start(target.listeners, server, random);
        Ok(Self { url, events, _listener: listener })
    }

    /// The address of the page.
    pub(crate) const fn url(&self) -> &Url {
        &self.url
    }

    /// Waits for the person to choose.
    ///
    /// # Errors
    /// `Cancelled` if the person cancels.
    pub(crate) async fn choice(&mut self) -> Result<AccountPick> {
        let choice = tokio::select! {
            biased;
            choice = self.events.choices.recv() => choice,
            error = self.events.person.abandoned() => return Err(error),
        };
        let choice = choice
            .ok_or_else(|| Error::internal("could not choose an account: no page is open"))?;
        let page = Page::notice("One moment", "Signing you in.");
        choice.reply.reply(Reply::Page(StatusCode::OK, page));
        Ok(choice.pick)
    }

    /// Waits until the person cancels.
    pub(crate) async fn cancelled(&mut self) -> Error {
        self.events.person.abandoned().await
    }
}
