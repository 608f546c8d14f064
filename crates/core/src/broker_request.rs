use std::fmt;
use std::future::Future;

use crate::{
    Account, AccountsRequest, Authority, Broker, CancelRequest, CorrelationId, Deadline,
    InteractiveRequest, RemoveAccountRequest, Result, SignHttpRequest, SignedHttpRequest,
    SilentRequest, SsoCookie, SsoCookieRequest, Token,
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

    /// Makes the request at this broker.
    fn ask(self, broker: &dyn Broker) -> impl Future<Output = Result<Self::Reply>> + Send;
}

/// Whether a request may be made a second time, after the broker went away before it answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(clippy::exhaustive_enums, reason = "there is no third answer")]
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
