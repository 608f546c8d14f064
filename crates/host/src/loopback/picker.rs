use std::sync::Arc;

use http::StatusCode;
use keybearer_core::{Account, Error, Result};
use keybearer_engine::{AccountPick, Random, SignInPrompt};
use url::Url;

use super::desk::{Arrivals, Desk, Reply};
use super::listener::Listener;
use super::pages::Page;
use super::place::Place;
use crate::random::random_hex;

/// The account picker for a window that is watched by other means and gets its answer elsewhere.
#[derive(Debug)]
pub(crate) struct Picker {
    url: Url,
    arrivals: Arrivals,
    /// Held: dropping it closes the port.
    _listener: Listener,
}

impl Picker {
    /// Serves the picker on any port.
    pub(crate) async fn open(
        prompt: &SignInPrompt,
        accounts: &[Account],
        random: Arc<dyn Random>,
    ) -> Result<Self> {
        let place = Place::bind(None).await?;
        let (nonce, token) = (random_hex(&*random, 16), random_hex(&*random, 16));
        let (desk, arrivals) = Desk::new(&place.redirect_uri, &nonce, token);
        let page = Page::picker(prompt, accounts, desk.picker_path(), &desk.token);
        desk.offer(page, accounts.iter().map(|account| account.home_account_id.clone()).collect());
        let mut url = place.redirect_uri;
        url.set_path(desk.picker_path());
        let listener = Listener::start(place.listeners, desk, random);
        Ok(Self { url, arrivals, _listener: listener })
    }

    /// Where it is.
    pub(crate) const fn url(&self) -> &Url {
        &self.url
    }

    /// Waits for the person to choose.
    ///
    /// # Errors
    /// `Cancelled` if the person gives up.
    pub(crate) async fn choice(&mut self) -> Result<AccountPick> {
        let choice = self.arrivals.choices.recv().await;
        let choice = choice.ok_or_else(|| Error::internal("choose an account: no page is open"))?;
        let page = match &choice.pick {
            Some(_) => Page::notice("One moment", "You are being signed in."),
            None => Page::cancelled(),
        };
        choice.browser.reply(Reply::Page(StatusCode::OK, page));
        choice.pick.ok_or_else(|| Error::cancelled("choose an account"))
    }
}
