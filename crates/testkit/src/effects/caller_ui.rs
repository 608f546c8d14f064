use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use keybearer_core::{
    Abilities, Account, AccountPick, CallerUi, Error, Missing, PastedAnswer, Result, SignInAddress,
    UserCode,
};
use url::Url;

use super::lock;

/// The caller's side of sign-ins, scripted. It records what it showed, and never returns an answer
/// that was not scripted. Clones share their state.
#[derive(Clone, Debug, Default)]
pub struct ScriptedCallerUi(Arc<CallerUiState>);

#[derive(Debug, Default)]
struct CallerUiState {
    abilities: Abilities,
    picks: Mutex<VecDeque<AccountPick>>,
    pastes: Mutex<VecDeque<PastedAnswer>>,
    broken_browser: Mutex<bool>,
    shown: Mutex<Shown>,
}

/// What the person was shown.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Shown {
    /// The pages that a browser was opened on.
    pub browsers: Vec<Url>,
    /// How often the person was asked to look at a browser.
    pub pointed: usize,
    /// The user names of each list of accounts.
    pub offered: Vec<Vec<String>>,
    /// The device codes.
    pub codes: Vec<UserCode>,
    /// The addresses.
    pub addresses: Vec<SignInAddress>,
    /// For each request to paste an answer, the problem with the previous one.
    pub complaints: Vec<Option<String>>,
}

impl ScriptedCallerUi {
    /// A caller with these abilities.
    #[must_use]
    pub fn new(abilities: Abilities) -> Self {
        Self(Arc::new(CallerUiState { abilities, ..CallerUiState::default() }))
    }

    /// Scripts the choice from the next list of accounts.
    pub fn will_pick(&self, pick: AccountPick) {
        lock(&self.0.picks).push_back(pick);
    }

    /// Scripts the next pasted answer.
    pub fn will_paste(&self, text: &str) {
        lock(&self.0.pastes).push_back(PastedAnswer::new(text.to_owned()));
    }

    /// Makes every browser fail to start from now on.
    pub fn break_browser(&self) {
        *lock(&self.0.broken_browser) = true;
    }

    /// What was shown so far.
    #[must_use]
    pub fn shown(&self) -> Shown {
        lock(&self.0.shown).clone()
    }
}

#[async_trait]
impl CallerUi for ScriptedCallerUi {
    fn abilities(&self) -> Abilities {
        self.0.abilities.clone()
    }

    async fn open_browser(&self, url: &Url) -> Result<()> {
        lock(&self.0.shown).browsers.push(url.clone());
        let broken = *lock(&self.0.broken_browser);
        match broken {
            true => Err(Error::unavailable(Missing::UserInterface, "the browser ended at once")),
            false => Ok(()),
        }
    }

    async fn point_to_browser(&self) {
        lock(&self.0.shown).pointed += 1;
    }

    async fn choose_account(&self, accounts: &[Account]) -> Result<AccountPick> {
        let names = accounts.iter().map(|account| account.username.clone()).collect();
        lock(&self.0.shown).offered.push(names);
        let pick = lock(&self.0.picks).pop_front();
        match pick {
            Some(pick) => Ok(pick),
            None => pending().await,
        }
    }

    async fn show_user_code(&self, code: &UserCode) -> Result<()> {
        lock(&self.0.shown).codes.push(code.clone());
        Ok(())
    }

    async fn show_address(&self, address: &SignInAddress) -> Result<()> {
        lock(&self.0.shown).addresses.push(address.clone());
        Ok(())
    }

    async fn paste(&self, complaint: Option<&str>) -> Result<PastedAnswer> {
        lock(&self.0.shown).complaints.push(complaint.map(str::to_owned));
        loop {
            let pasted = lock(&self.0.pastes).pop_front();
            if let Some(pasted) = pasted {
                return Ok(pasted);
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
}
