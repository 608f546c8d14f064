use keybearer_core::{CallerId, CorrelationId, Pending};

use super::BrokerProxy;
use crate::message::Cancellation;

/// An interactive request that waits for the broker. If it is given up in any way (dropped, timed
/// out), it sends the broker a cancellation, and the caller does not wait for the answer to that.
pub(super) struct WaitingFlow<'a> {
    proxy: &'a BrokerProxy,
    id: CorrelationId,
    answered: bool,
    _pending: Pending<CorrelationId>,
}

impl<'a> WaitingFlow<'a> {
    pub(super) fn begin(proxy: &'a BrokerProxy, caller: &CallerId, id: &CorrelationId) -> Self {
        let pending = proxy.pending().register_as(caller, id.clone());
        Self { proxy, id: id.clone(), answered: false, _pending: pending }
    }

    /// The broker answered: there is nothing left to cancel.
    pub(super) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for WaitingFlow<'_> {
    fn drop(&mut self) {
        if let (false, Ok(runtime)) = (self.answered, tokio::runtime::Handle::try_current()) {
            let (proxy, id) = (self.proxy.clone(), self.id.clone());
            runtime.spawn(async move { proxy.send_cancel(&Cancellation::Flow(id)).await });
        }
    }
}
