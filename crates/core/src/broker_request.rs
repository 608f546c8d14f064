use std::fmt;
use std::future::Future;

use crate::{
    Account, AccountChoice, AccountsRequest, Authority, Broker, CancelRequest, CorrelationId,
    Deadline, Error, InteractiveRequest, RemoveAccountRequest, Result, SignHttpRequest,
    SignedHttpRequest, SilentRequest, SsoCookie, SsoCookieRequest, Token, TokenParameters,
};

/// A request that can be made at any [`Broker`]: what code that treats all verbs alike needs to know
/// about one. Each verb of the trait `Broker` has one request type.
pub trait BrokerRequest: Clone + fmt::Debug + Send + Sync + 'static {
    /// What the broker answers with.
    type Reply: Send + 'static;

    /// Whether the request may be made a second time.
    const REPEAT: Repeat;

    /// When the request must have ended.
    fn deadline(&self) -> Deadline;

    /// What ties its log lines and errors together; empty if the caller gave none.
    fn correlation_id(&self) -> CorrelationId;

    /// The authority whose token is asked for, if the request is for a token.
    fn authority(&self) -> Option<&Authority> {
        None
    }

    /// Checks what every broker promises about its answer to this request.
    ///
    /// # Errors
    /// `Protocol` if it is about another account than the one that was asked for;
    /// `InteractionRequired` if another account signed in, or if it is the token that the resource
    /// refused.
    fn check(&self, reply: &Self::Reply) -> Result<()> {
        let _ = reply;
        Ok(())
    }

    /// The outcome of the request if it passes [`check`](Self::check), with the correlation id on
    /// every error. For brokers that Keybearer does not control: they are known to return a token of
    /// another account, and official clients do not check.
    ///
    /// # Errors
    /// That of the outcome, and those of [`check`](Self::check).
    fn checked(&self, outcome: Result<Self::Reply>) -> Result<Self::Reply> {
        let checked = outcome.and_then(|reply| self.check(&reply).map(|()| reply));
        checked.map_err(|error| error.with_correlation_id(self.correlation_id()))
    }

    /// Makes the request at this broker.
    fn ask(self, broker: &dyn Broker) -> impl Future<Output = Result<Self::Reply>> + Send;
}

/// Whether a request may be made a second time, after the broker went away before it answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repeat {
    /// Once more. The request changes nothing, and no person is asked.
    Once,
    /// Not at all. The first one may have been carried out, or a person may have been asked.
    Never,
}

impl BrokerRequest for AccountsRequest {
    type Reply = Vec<Account>;
    const REPEAT: Repeat = Repeat::Once;

    fn deadline(&self) -> Deadline {
        self.deadline
    }

    fn correlation_id(&self) -> CorrelationId {
        self.correlation_id.clone()
    }

    fn ask(self, broker: &dyn Broker) -> impl Future<Output = Result<Vec<Account>>> + Send {
        broker.accounts(self)
    }
}

impl BrokerRequest for SilentRequest {
    type Reply = Token;
    const REPEAT: Repeat = Repeat::Once;

    fn deadline(&self) -> Deadline {
        self.parameters.deadline
    }

    fn correlation_id(&self) -> CorrelationId {
        self.parameters.correlation_id.clone()
    }

    fn authority(&self) -> Option<&Authority> {
        Some(&self.parameters.authority)
    }

    fn check(&self, token: &Token) -> Result<()> {
        check_account(&self.parameters.account, &token.account, "token")?;
        check_renewed(&self.parameters, token)
    }

    fn ask(self, broker: &dyn Broker) -> impl Future<Output = Result<Token>> + Send {
        broker.acquire_silent(self)
    }
}

impl BrokerRequest for InteractiveRequest {
    type Reply = Token;
    const REPEAT: Repeat = Repeat::Never;

    fn deadline(&self) -> Deadline {
        self.parameters.deadline
    }

    fn correlation_id(&self) -> CorrelationId {
        self.parameters.correlation_id.clone()
    }

    fn authority(&self) -> Option<&Authority> {
        Some(&self.parameters.authority)
    }

    fn check(&self, token: &Token) -> Result<()> {
        self.parameters.account.check_sign_in(&token.account)?;
        check_renewed(&self.parameters, token)
    }

    fn ask(self, broker: &dyn Broker) -> impl Future<Output = Result<Token>> + Send {
        broker.acquire_interactive(self)
    }
}

impl BrokerRequest for RemoveAccountRequest {
    type Reply = ();
    const REPEAT: Repeat = Repeat::Never;

    fn deadline(&self) -> Deadline {
        self.deadline
    }

    fn correlation_id(&self) -> CorrelationId {
        self.correlation_id.clone()
    }

    fn ask(self, broker: &dyn Broker) -> impl Future<Output = Result<()>> + Send {
        broker.remove_account(self)
    }
}

impl BrokerRequest for SsoCookieRequest {
    type Reply = SsoCookie;
    const REPEAT: Repeat = Repeat::Once;

    fn deadline(&self) -> Deadline {
        self.deadline
    }

    fn correlation_id(&self) -> CorrelationId {
        self.correlation_id.clone()
    }

    fn check(&self, cookie: &SsoCookie) -> Result<()> {
        check_account(&self.account, &cookie.account, "cookie")
    }

    fn ask(self, broker: &dyn Broker) -> impl Future<Output = Result<SsoCookie>> + Send {
        broker.sso_cookie(self)
    }
}

impl BrokerRequest for SignHttpRequest {
    type Reply = SignedHttpRequest;
    const REPEAT: Repeat = Repeat::Once;

    fn deadline(&self) -> Deadline {
        self.deadline
    }

    fn correlation_id(&self) -> CorrelationId {
        self.correlation_id.clone()
    }

    fn ask(self, broker: &dyn Broker) -> impl Future<Output = Result<SignedHttpRequest>> + Send {
        broker.sign_http_request(self)
    }
}

/// A cancellation has no deadline and no id: every broker bounds it by itself.
impl BrokerRequest for CancelRequest {
    type Reply = ();
    const REPEAT: Repeat = Repeat::Never;

    fn deadline(&self) -> Deadline {
        Deadline::NEVER
    }

    fn correlation_id(&self) -> CorrelationId {
        CorrelationId::default()
    }

    fn ask(self, broker: &dyn Broker) -> impl Future<Output = Result<()>> + Send {
        broker.cancel(self)
    }
}

/// Checks an answer in which no person took part (promise I8).
fn check_account(choice: &AccountChoice, account: &Account, what: &str) -> Result<()> {
    if choice.allows(account) {
        return Ok(());
    }
    let expected = format!("the {what} of the account that was asked for");
    Err(Error::protocol(expected, "that of another account"))
}

/// Withholds the token that the resource refused.
fn check_renewed(parameters: &TokenParameters, token: &Token) -> Result<()> {
    match &parameters.access_token_to_renew {
        Some(refused) if token.access_token.same_as(refused) => Err(Error::interaction_required(
            "the broker has no other token than the one that the resource refused",
        )),
        _ => Ok(()),
    }
}
