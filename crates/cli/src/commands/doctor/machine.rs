use keybearer_host::{Environment, Paths};

use super::finding::Finding;
use super::{broker, installed, storage};

/// Which broker is used, and where tokens are stored.
pub(super) async fn examine(paths: &Paths, environment: &Environment, findings: &mut Vec<Finding>) {
    let status = broker::examine(paths, findings).await;
    broker::examine_bus(environment, status.as_ref(), findings).await;
    findings.push(installed::examine(environment));
    storage::examine(paths, environment, status.as_ref(), findings).await;
}
