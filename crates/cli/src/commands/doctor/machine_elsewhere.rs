use std::time::Duration;

use keybearer_client::{BrokerChoice, LocalBroker, LocalBrokerOptions};
use keybearer_core::{ErrorKind, Missing};
use keybearer_host::{Environment, KeyPlaceKind, Paths};

use super::finding::{Finding, Level};

/// How long the search for the system's broker may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Which broker is used, and where tokens are stored.
pub(super) async fn examine(paths: &Paths, environment: &Environment, findings: &mut Vec<Finding>) {
    let options = LocalBrokerOptions { choice: BrokerChoice::Required, ..Default::default() };
    let found = LocalBroker::new(environment.clone(), options).connect(LIMIT).await;
    findings.push(match found {
        Ok(broker) => Finding::new(Level::Ok, "broker", format!("{} serves", broker.name())),
        Err(error) if *error.kind() == ErrorKind::Unavailable(Missing::Broker) => {
            Finding::of_error("broker", Level::Info, &error)
        }
        Err(error) => Finding::of_error("broker", Level::Warning, &error),
    });
    let (shown, store) = (paths.state_dir.display(), paths.state_dir.join("store.log"));
    findings.push(match store.metadata() {
        Ok(file) => {
            let found = format!("{shown}, {} bytes, for sign-ins with the browser", file.len());
            Finding::new(Level::Ok, "store", found)
        }
        Err(_) => {
            let found = format!("none; sign-ins with the browser will be kept in {shown}");
            Finding::new(Level::Info, "store", found)
        }
    });
    for kind in KeyPlaceKind::all() {
        if kind.file.is_some_and(|file| paths.state_dir.join(file).exists()) {
            findings.push(Finding::new(Level::Ok, "key", kind.description));
        }
    }
}
