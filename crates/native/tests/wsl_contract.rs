//! The broker contract, kept by the proxy of WSL in front of a broker: each call is a process that
//! asks the broker over its socket.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::sync::Arc;

use async_trait::async_trait;
use keybearer_core::{Broker, CorrelationId, Timestamp, TokenParameters};
use keybearer_dbus::server::serve_socket;
use keybearer_emulator::Home;
use keybearer_native::Checked;
use keybearer_native::wsl::ProxyBroker;
use keybearer_testkit::contract::{ContractFixture, Party, Situation};
use keybearer_testkit::double::MemoryBroker;
use keybearer_testkit::sample;
use tokio::net::UnixListener;

/// Two programs in WSL, and Windows.
struct Wsl {
    windows: Home,
    programs: Programs,
}

enum Programs {
    OneEach,
    Shared,
}

impl Wsl {
    fn new(programs: Programs) -> Self {
        Self { windows: Home::new().unwrap(), programs }
    }

    /// Serves a broker for as long as the test's runtime lasts.
    fn serve(&self, broker: Arc<dyn Broker>, name: &str) -> Checked<ProxyBroker> {
        let socket = self.windows.at(format!("{name}.sock"));
        let listener = UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            for number in 1.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve_socket(stream, Arc::clone(&broker), number));
            }
        });
        let program = self.windows.at(format!("{name}.exe"));
        ProxyBroker::new(support::proxy_to(&socket, &program))
    }
}

#[async_trait]
impl ContractFixture for Wsl {
    async fn parties(&self, situation: Situation) -> [Party; 2] {
        let broker = Arc::new(MemoryBroker::in_situation(situation));
        let name = format!("{situation:?}");
        let one = self.serve(broker, &name);
        let two = match self.programs {
            Programs::Shared => one.clone(),
            Programs::OneEach => ProxyBroker::new(one.inner().program().to_owned()),
        };
        let party = |broker: Checked<ProxyBroker>, name| Party {
            broker: Arc::new(broker),
            caller: sample::caller(name),
        };
        [party(one, "one"), party(two, "two")]
    }

    fn parameters(&self) -> TokenParameters {
        // Requests that wait at the same time differ in their correlation id.
        use std::sync::atomic::{AtomicU32, Ordering};
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let correlation_id = CorrelationId::new(&format!("c-{number}"));
        TokenParameters { correlation_id, ..sample::parameters() }
    }

    fn now(&self) -> Timestamp {
        sample::now()
    }
}

mod one_program {
    use super::{Programs, Wsl};

    keybearer_testkit::contract_tests!(Wsl::new(Programs::Shared));
    keybearer_testkit::proof_contract_tests!(Wsl::new(Programs::Shared));
}

mod a_program_each {
    use super::{Programs, Wsl};

    keybearer_testkit::contract_tests!(Wsl::new(Programs::OneEach));
    keybearer_testkit::proof_contract_tests!(Wsl::new(Programs::OneEach));
}
