use std::sync::Arc;

use keybearer_core::{Broker, BrokerRequest, Forward, InteractiveRequest, Result, Token};

use crate::activity::{ActiveCall, Activity};

/// A broker whose calls are noticed.
#[derive(Debug)]
pub(crate) struct Tracked {
    broker: Arc<dyn Broker>,
    noticed_by: Vec<Activity>,
    sign_ins: Activity,
}

impl Tracked {
    /// Every call of `broker` through this value counts in each of `noticed_by`, and one that waits
    /// for a person in `sign_ins` as well.
    pub(crate) fn new(
        broker: Arc<dyn Broker>,
        noticed_by: Vec<Activity>,
        sign_ins: Activity,
    ) -> Self {
        Self { broker, noticed_by, sign_ins }
    }

    fn call(&self) -> Vec<ActiveCall> {
        self.noticed_by.iter().map(Activity::begin).collect()
    }
}

impl Forward for Tracked {
    fn forward_name(&self) -> &str {
        self.broker.name()
    }

    async fn forward<R: BrokerRequest>(&self, request: R) -> Result<R::Reply> {
        let _call = self.call();
        request.ask(&*self.broker).await
    }

    async fn forward_interactive(&self, request: InteractiveRequest) -> Result<Token> {
        let _sign_in = self.sign_ins.begin();
        self.forward(request).await
    }
}
