//! The contract suite for brokers, run against the engine.

use std::sync::Arc;

use async_trait::async_trait;
use keybearer_core::{Broker, Timestamp, TokenParameters};
use keybearer_testkit::contract::{ContractFixture, Party, Situation};
use keybearer_testkit::effects::{Conduct, ManualClock};
use keybearer_testkit::engine_harness::{EngineHarness, STORAGE, parameters};
use keybearer_testkit::provider::DEV;
use keybearer_testkit::{contract_tests, proof_contract_tests, sample, signing_contract_tests};

struct InMemory;

#[async_trait]
impl ContractFixture for InMemory {
    async fn parties(&self, situation: Situation) -> [Party; 2] {
        let world = EngineHarness::default();
        let engine = match situation {
            Situation::OneAccount => world.connected(DEV).await,
            Situation::NoAccount | Situation::SignInSucceeds | Situation::SignInUnanswered => {
                world.engine().await
            }
        };
        world.person.will(match situation {
            Situation::SignInSucceeds => Conduct::SignsIn(DEV),
            _ => Conduct::NeverAnswers,
        });
        let broker: Arc<dyn Broker> = Arc::new(engine);
        ["one", "two"]
            .map(|name| Party { broker: Arc::clone(&broker), caller: sample::caller(name) })
    }

    fn parameters(&self) -> TokenParameters {
        parameters(STORAGE)
    }

    fn now(&self) -> Timestamp {
        ManualClock::START
    }
}

contract_tests!(InMemory);
proof_contract_tests!(InMemory);
signing_contract_tests!(InMemory);
