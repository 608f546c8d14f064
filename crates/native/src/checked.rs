use keybearer_core::{Broker, BrokerRequest, Error, Forward, Result};

use crate::Reachable;
use crate::limit::{now, within};

/// A broker that Keybearer does not control, held to the promises of a broker:
///
/// * every request ends by its deadline (promise I7);
/// * the answer is about the account that was asked for (promise I8), and a token that the resource
///   refused is not served again, see [`BrokerRequest::check`];
/// * every error carries the request's correlation id.
///
/// The brokers of this crate exist only in this wrapper.
#[derive(Clone, Debug)]
pub struct Checked<B>(B);

impl<B: Broker> Checked<B> {
    pub(crate) const fn new(broker: B) -> Self {
        Self(broker)
    }

    /// The broker itself, for what only this kind of broker knows.
    pub const fn inner(&self) -> &B {
        &self.0
    }
}

impl<B: Broker> Forward for Checked<B> {
    fn forward_name(&self) -> &str {
        self.0.name()
    }

    async fn forward<R: BrokerRequest>(&self, request: R) -> Result<R::Reply> {
        let deadline = request.deadline();
        let limit = deadline.left(now());
        let late = || {
            let (seconds, name) = (limit.as_secs_f32(), self.0.name());
            Error::timed_out(format!(
                "timed out after {seconds:.1} s waiting for the broker ({name})"
            ))
        };
        let outcome = within(deadline, late, request.clone().ask(&self.0)).await;
        request.checked(outcome)
    }
}

impl<B: Reachable> Reachable for Checked<B> {
    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn is_keybearer(&self) -> bool {
        self.0.is_keybearer()
    }
}
