//! The broker contract, kept by a proxy in front of a server in front of a broker.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::sync::Arc;

use async_trait::async_trait;
use keybearer_core::{Broker, Timestamp, TokenParameters};
use keybearer_testkit::contract::{ContractFixture, Party, Situation};
use keybearer_testkit::double::MemoryBroker;
use keybearer_testkit::sample;
use support::SocketBroker;
use tokio::sync::Mutex;

/// Two programs behind a socket.
struct Socket {
    /// Kept for as long as the test runs.
    broker: Mutex<Option<SocketBroker>>,
    connections: Connections,
}

enum Connections {
    OneEach,
    Shared,
}

impl Socket {
    fn new(connections: Connections) -> Self {
        Self { broker: Mutex::new(None), connections }
    }
}

#[async_trait]
impl ContractFixture for Socket {
    async fn parties(&self, situation: Situation) -> [Party; 2] {
        let socket = SocketBroker::serve(Arc::new(MemoryBroker::in_situation(situation)));
        let one = socket.connect().await;
        let two = match self.connections {
            Connections::OneEach => socket.connect().await,
            Connections::Shared => one.clone(),
        };
        *self.broker.lock().await = Some(socket);
        let party = |broker: Arc<dyn Broker>, name| Party { broker, caller: sample::caller(name) };
        [party(Arc::new(one), "one"), party(Arc::new(two), "two")]
    }

    fn parameters(&self) -> TokenParameters {
        // Requests that wait at the same time differ in their correlation id.
        use std::sync::atomic::{AtomicU32, Ordering};
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let correlation_id = keybearer_core::CorrelationId::new(&format!("c-{number}"));
        TokenParameters { correlation_id, ..sample::parameters() }
    }

    fn now(&self) -> Timestamp {
        sample::now()
    }
}

mod over_a_connection_each {
    use super::{Connections, Socket};

    keybearer_testkit::contract_tests!(Socket::new(Connections::OneEach));
    keybearer_testkit::proof_contract_tests!(Socket::new(Connections::OneEach));
    keybearer_testkit::signing_contract_tests!(Socket::new(Connections::OneEach));
}

mod over_one_connection {
    use super::{Connections, Socket};

    keybearer_testkit::contract_tests!(Socket::new(Connections::Shared));
    keybearer_testkit::proof_contract_tests!(Socket::new(Connections::Shared));
    keybearer_testkit::signing_contract_tests!(Socket::new(Connections::Shared));
}
