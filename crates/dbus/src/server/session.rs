use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use keybearer_core::{
    Broker, BrokerRequest, Caller, CallerId, CancelRequest, CorrelationId, Error, Pending,
    PendingRequests, Process, Result,
};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::caller_ui::CallbackChannel;
use crate::message::{
    AcquireTokenInteractively, AcquireTokenSilently, BrokerMethod, BrokerVersion, Call,
    CancelInteractiveFlow, Cancellation, GetLinuxBrokerVersion, Method, is_prompt_none,
};

/// How many calls of one connection may wait at the same time; more are refused as transient.
pub const MAX_PENDING: usize = 128;

/// How long a cancellation that found nothing to cancel waits for the request it means: Microsoft's
/// client sends the two from different threads, and the cancellation has been seen to come first.
const EARLY_CANCEL_WINDOW: Duration = Duration::from_millis(500);

/// One client's connection, as the broker sees it: knows who the client is, answers its calls,
/// text for text, and never fails to answer.
///
/// Each interactive request reaches the broker under a separate caller id, made of the
/// connection's name and the correlation id, so that cancelling can be as exact as the client is:
/// other vendors' clients cancel all requests of their connection, our own one flow.
#[derive(Debug)]
pub struct Session {
    broker: Arc<dyn Broker>,
    caller: Caller,
    slots: Semaphore,
    /// The interactive requests that are waiting, under the connection's own caller id.
    pending: PendingRequests<CorrelationId>,
    early: Mutex<EarlyCancel>,
}

/// A cancellation that came before the request that it means.
#[derive(Debug, Default)]
struct EarlyCancel(Option<Instant>);

impl Session {
    /// A session of the client at the other end of the connection `id`.
    #[must_use]
    pub fn new(broker: Arc<dyn Broker>, id: CallerId, process: Option<Process>) -> Self {
        let caller = Caller { id, process };
        Self {
            broker,
            caller,
            slots: Semaphore::new(MAX_PENDING),
            pending: PendingRequests::default(),
            early: Mutex::default(),
        }
    }

    /// Answers a method that asks the broker.
    pub async fn answer<M: BrokerMethod>(&self, correlation_id: &str, json: &str) -> String {
        let call = self.call(correlation_id);
        self.answered::<M, _>(json, &call, |request| request.ask(&*self.broker)).await
    }

    /// Answers `acquireTokenInteractively`; `callback` leads back to the client. With `prompt=none` that
    /// is the silent answer, in the same words.
    pub async fn acquire_token_interactively(
        &self,
        correlation_id: &str,
        json: &str,
        callback: Option<CallbackChannel>,
    ) -> String {
        if is_prompt_none(json) {
            return self.answer::<AcquireTokenSilently>(correlation_id, json).await;
        }
        let mut call = Call { callback, ..self.call(correlation_id) };
        let (_pending, cancelled) = self.begin_flow(&call.correlation_id);
        call.caller.id = self.flow_caller(&call.correlation_id).id;
        self.answered::<AcquireTokenInteractively, _>(json, &call, async |request| {
            if cancelled {
                return Err(Error::cancelled("the client cancelled the sign-in as it began"));
            }
            request.ask(&*self.broker).await
        })
        .await
    }

    /// Answers `cancelInteractiveFlow`, however many calls are waiting.
    pub async fn cancel_interactive_flow(&self, correlation_id: &str, json: &str) -> String {
        let call = self.call(correlation_id);
        let cancellation = CancelInteractiveFlow::decode_request(json, &call);
        let cancellation =
            cancellation.map_or(Cancellation::All, |(cancellation, ())| cancellation);
        match self.cancel(&cancellation).await {
            Ok(()) => CancelInteractiveFlow::encode_reply(&(), &()),
            Err(error) => CancelInteractiveFlow::encode_error(&error),
        }
    }

    /// Answers `getLinuxBrokerVersion`.
    pub async fn get_linux_broker_version(&self, correlation_id: &str, json: &str) -> String {
        let call = self.call(correlation_id);
        let version = |()| std::future::ready(Ok(BrokerVersion::this()));
        self.answered::<GetLinuxBrokerVersion, _>(json, &call, version).await
    }

    /// Cancels interactive requests of this session that are still waiting.
    ///
    /// # Errors
    /// What the broker answers.
    pub async fn cancel(&self, cancellation: &Cancellation) -> Result<()> {
        let pending = {
            // Held meanwhile, so that no request begins between the look and the note.
            let mut early = self.early();
            let pending = self.pending.labels(&self.caller.id);
            if pending.is_empty() && *cancellation == Cancellation::All {
                early.note();
            }
            pending
        };
        let meant = pending.iter().filter(|id| match cancellation {
            Cancellation::All => true,
            Cancellation::Flow(flow) => *id == flow,
        });
        let mut outcome = Ok(());
        for id in meant {
            let one = self.broker.cancel(CancelRequest { caller: self.flow_caller(id) }).await;
            outcome = outcome.and(one);
        }
        outcome
    }

    /// Reads the request, asks the broker and writes the reply. A broker that panics is a defect
    /// that this one call reports; the client must not wait for an answer that never comes.
    async fn answered<M, F>(
        &self,
        json: &str,
        call: &Call,
        ask: impl FnOnce(M::Request) -> F,
    ) -> String
    where
        M: Method,
        F: Future<Output = Result<M::Reply>>,
    {
        tracing::debug!(method = M::NAME, correlation_id = %call.correlation_id, "call");
        let outcome = async {
            let _slot = self.slots.try_acquire().map_err(|_| {
                let pause = Some(Duration::from_secs(1));
                Error::transient(pause, "too many calls are waiting on this connection")
            })?;
            let (request, echo) = M::decode_request(json, call)?;
            let reply = AssertUnwindSafe(ask(request)).catch_unwind().await;
            let reply = reply.map_err(|_| Error::internal("the broker failed on this request"))?;
            Ok(M::encode_reply(&reply?, &echo))
        };
        outcome.await.unwrap_or_else(|error: Error| {
            let error = error.with_correlation_id(call.correlation_id.clone());
            tracing::debug!(method = M::NAME, correlation_id = %call.correlation_id, %error, "failed");
            M::encode_error(&error)
        })
    }

    fn call(&self, correlation_id: &str) -> Call {
        let (correlation_id, caller) = (CorrelationId::new(correlation_id), self.caller.clone());
        let received = Instant::now().into_std();
        Call { correlation_id, received, caller, callback: None }
    }

    fn flow_caller(&self, flow: &CorrelationId) -> Caller {
        let id = CallerId::new(&format!("{}/{flow}", self.caller.id));
        Caller { id, process: self.caller.process.clone() }
    }

    /// Lists an interactive request as pending. Whether it has been cancelled already comes with it.
    fn begin_flow(&self, id: &CorrelationId) -> (Pending<CorrelationId>, bool) {
        let mut early = self.early();
        let pending = self.pending.register_as(&self.caller.id, id.clone());
        (pending, early.take())
    }

    fn early(&self) -> MutexGuard<'_, EarlyCancel> {
        self.early.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EarlyCancel {
    /// A cancellation came that no request was waiting for.
    fn note(&mut self) {
        self.0 = Some(Instant::now());
    }

    /// Whether one came just now. It is for one request only.
    fn take(&mut self) -> bool {
        self.0.take().is_some_and(|when| when.elapsed() < EARLY_CANCEL_WINDOW)
    }
}
