use std::sync::{Mutex, MutexGuard, PoisonError};

use keybearer_core::{CallerId, CorrelationId};

use super::BrokerProxy;
use crate::message::Cancellation;

/// The interactive requests of one proxy that are waiting.
#[derive(Debug, Default)]
pub(super) struct PendingFlows(Mutex<Vec<(CallerId, CorrelationId)>>);

impl PendingFlows {
    /// Those of one caller.
    pub(super) fn of(&self, caller: &CallerId) -> Vec<CorrelationId> {
        let flows = self.lock();
        flows.iter().filter(|(id, _)| id == caller).map(|(_, flow)| flow.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(CallerId, CorrelationId)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An interactive request that waits for the broker. Given up in any way (dropped, timed out), it
/// tells the broker so, and nobody waits for that.
pub(super) struct WaitingFlow<'a> {
    proxy: &'a BrokerProxy,
    flow: (CallerId, CorrelationId),
    answered: bool,
}

impl<'a> WaitingFlow<'a> {
    pub(super) fn begin(proxy: &'a BrokerProxy, caller: &CallerId, id: &CorrelationId) -> Self {
        let flow = (caller.clone(), id.clone());
        proxy.flows().lock().push(flow.clone());
        Self { proxy, flow, answered: false }
    }

    /// The broker answered: there is nothing left to cancel.
    pub(super) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for WaitingFlow<'_> {
    fn drop(&mut self) {
        let mut flows = self.proxy.flows().lock();
        if let Some(index) = flows.iter().position(|flow| *flow == self.flow) {
            flows.swap_remove(index);
        }
        drop(flows);
        if let (false, Ok(runtime)) = (self.answered, tokio::runtime::Handle::try_current()) {
            let (proxy, id) = (self.proxy.clone(), self.flow.1.clone());
            runtime.spawn(async move { proxy.send_cancel(&Cancellation::Flow(id)).await });
        }
    }
}
