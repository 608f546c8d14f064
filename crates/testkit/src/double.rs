//! Brokers for tests: a scripted one, and one with accounts in memory.

mod memory;

pub use memory::{MemoryBroker, SignInBehaviour};

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use keybearer_core::{
    Account, AccountsRequest, Broker, CallerId, CancelRequest, Deadline, Error, InteractiveRequest,
    Missing, RemoveAccountRequest, Result, SignHttpRequest, SignedHttpRequest, SilentRequest,
    SsoCookie, SsoCookieRequest, Token,
};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// The double's reaction to a call.
#[derive(Debug)]
pub enum Answer<T> {
    /// Answers at once.
    Now(Result<T>),
    /// Answers after a while, by tokio's clock.
    After(Duration, Result<T>),
    /// Does not answer until the call is cancelled or times out.
    Hang,
}

/// A call the double received.
#[derive(Clone, Debug)]
pub enum Received {
    /// [`Broker::accounts`]
    Accounts(AccountsRequest),
    /// [`Broker::acquire_silent`]
    Silent(SilentRequest),
    /// [`Broker::acquire_interactive`]
    Interactive(InteractiveRequest),
    /// [`Broker::remove_account`]
    RemoveAccount(RemoveAccountRequest),
    /// [`Broker::sso_cookie`]
    SsoCookie(SsoCookieRequest),
    /// [`Broker::sign_http_request`]
    SignHttpRequest(SignHttpRequest),
    /// [`Broker::cancel`]
    Cancel(CancelRequest),
}

/// A [`Broker`] whose answers are scripted, method by method, first in, first out.
///
/// A call beyond the script is an `Internal` error; the methods with a default in the trait answer
/// as the trait does. It records every call and never panics.
#[derive(Debug)]
pub struct ScriptedBroker {
    script: Mutex<Script>,
    calls: watch::Sender<usize>,
    cancelled: watch::Sender<Vec<CallerId>>,
}

#[derive(Debug, Default)]
struct Script {
    accounts: VecDeque<Answer<Vec<Account>>>,
    silent: VecDeque<Answer<Token>>,
    interactive: VecDeque<Answer<Token>>,
    remove_account: VecDeque<Answer<()>>,
    sso_cookie: VecDeque<Answer<SsoCookie>>,
    sign_http_request: VecDeque<Answer<SignedHttpRequest>>,
    received: Vec<Received>,
}

impl Default for ScriptedBroker {
    fn default() -> Self {
        Self {
            script: Mutex::default(),
            calls: watch::Sender::new(0),
            cancelled: watch::Sender::new(Vec::new()),
        }
    }
}

/// For scripting.
impl ScriptedBroker {
    /// A broker without scripted answers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the answer to a later [`Broker::accounts`].
    pub fn on_accounts(&self, answer: Answer<Vec<Account>>) {
        self.script().accounts.push_back(answer);
    }

    /// Adds the answer to a later [`Broker::acquire_silent`].
    pub fn on_silent(&self, answer: Answer<Token>) {
        self.script().silent.push_back(answer);
    }

    /// Adds the answer to a later [`Broker::acquire_interactive`].
    pub fn on_interactive(&self, answer: Answer<Token>) {
        self.script().interactive.push_back(answer);
    }

    /// Adds the answer to a later [`Broker::remove_account`].
    pub fn on_remove_account(&self, answer: Answer<()>) {
        self.script().remove_account.push_back(answer);
    }

    /// Adds the answer to a later [`Broker::sso_cookie`].
    pub fn on_sso_cookie(&self, answer: Answer<SsoCookie>) {
        self.script().sso_cookie.push_back(answer);
    }

    /// Adds the answer to a later [`Broker::sign_http_request`].
    pub fn on_sign_http_request(&self, answer: Answer<SignedHttpRequest>) {
        self.script().sign_http_request.push_back(answer);
    }
}

/// For checking.
impl ScriptedBroker {
    /// Every call so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.script().received.clone()
    }

    /// Waits until `count` calls have been received.
    pub async fn wait_for_calls(&self, count: usize) {
        let mut calls = self.calls.subscribe();
        // The sender lives as long as `self`, so the wait cannot fail.
        let _ = calls.wait_for(|calls| *calls >= count).await;
    }

    /// Waits until the calls of `count` callers were cancelled.
    pub async fn wait_for_cancels(&self, count: usize) {
        let mut cancelled = self.cancelled.subscribe();
        let _ = cancelled.wait_for(|cancelled| cancelled.len() >= count).await;
    }
}

/// The scripted answers.
impl ScriptedBroker {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record<T>(
        &self,
        received: Received,
        queue: impl FnOnce(&mut Script) -> &mut VecDeque<Answer<T>>,
    ) -> Option<Answer<T>> {
        let mut script = self.script();
        script.received.push(received);
        let answer = queue(&mut script).pop_front();
        drop(script);
        self.calls.send_modify(|calls| *calls += 1);
        answer
    }

    async fn play<T>(&self, answer: Answer<T>, deadline: Deadline) -> Result<T> {
        let limit = deadline.left(Instant::now().into_std());
        match answer {
            Answer::Now(result) => result,
            Answer::After(delay, result) if delay < limit => {
                sleep(delay).await;
                result
            }
            Answer::After(..) | Answer::Hang => {
                sleep(limit).await;
                Err(Error::timed_out("wait for the script"))
            }
        }
    }
}

fn beyond_script<T>() -> Answer<T> {
    Answer::Now(Err(Error::internal("the script has no answer for this call")))
}

#[async_trait]
impl Broker for ScriptedBroker {
    fn name(&self) -> &str {
        "scripted broker"
    }

    async fn accounts(&self, request: AccountsRequest) -> Result<Vec<Account>> {
        let deadline = request.deadline;
        let answer = self.record(Received::Accounts(request), |script| &mut script.accounts);
        self.play(answer.unwrap_or_else(beyond_script), deadline).await
    }

    async fn acquire_silent(&self, request: SilentRequest) -> Result<Token> {
        let deadline = request.parameters.deadline;
        let answer = self.record(Received::Silent(request), |script| &mut script.silent);
        self.play(answer.unwrap_or_else(beyond_script), deadline).await
    }

    async fn acquire_interactive(&self, request: InteractiveRequest) -> Result<Token> {
        let caller = request.parameters.caller.id.clone();
        let deadline = request.parameters.deadline;
        // A test may cancel as soon as the call is recorded, so listen for that first.
        let mut cancelled = self.cancelled.subscribe();
        let count = |callers: &Vec<CallerId>| callers.iter().filter(|id| **id == caller).count();
        let before = count(&cancelled.borrow());
        let answer = self.record(Received::Interactive(request), |script| &mut script.interactive);
        tokio::select! {
            outcome = self.play(answer.unwrap_or_else(beyond_script), deadline) => outcome,
            _ = cancelled.wait_for(|callers| count(callers) > before) => {
                Err(Error::cancelled("sign in"))
            }
        }
    }

    async fn remove_account(&self, request: RemoveAccountRequest) -> Result<()> {
        let deadline = request.deadline;
        let received = Received::RemoveAccount(request);
        let answer = self.record(received, |script| &mut script.remove_account);
        self.play(answer.unwrap_or_else(beyond_script), deadline).await
    }

    async fn sso_cookie(&self, request: SsoCookieRequest) -> Result<SsoCookie> {
        let deadline = request.deadline;
        let answer = self.record(Received::SsoCookie(request), |script| &mut script.sso_cookie);
        let default = || {
            Answer::Now(Err(Error::unavailable(
                Missing::DeviceRegistration,
                "this device is not registered",
            )))
        };
        self.play(answer.unwrap_or_else(default), deadline).await
    }

    async fn sign_http_request(&self, request: SignHttpRequest) -> Result<SignedHttpRequest> {
        let deadline = request.deadline;
        let answer =
            self.record(Received::SignHttpRequest(request), |script| &mut script.sign_http_request);
        let default = || {
            Answer::Now(Err(Error::unavailable(
                Missing::Key,
                "this broker has no key for that account",
            )))
        };
        self.play(answer.unwrap_or_else(default), deadline).await
    }

    async fn cancel(&self, request: CancelRequest) -> Result<()> {
        self.script().received.push(Received::Cancel(request.clone()));
        self.calls.send_modify(|calls| *calls += 1);
        self.cancelled.send_modify(|cancelled| cancelled.push(request.caller.id));
        Ok(())
    }
}
