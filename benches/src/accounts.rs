use std::sync::Arc;

use anyhow::Result;
use keybearer_host::{Environment, Host, Paths};

use crate::engine::EngineAt;

/// Signs this number of different users in, into the broker's store below these paths.
///
/// # Errors
/// If the store or a sign-in fails.
pub async fn connect_accounts(
    paths: &Paths,
    environment: &Environment,
    count: usize,
) -> Result<()> {
    let effects = Host::durable(paths, environment).effects();
    let at = EngineAt::open(Arc::clone(&effects.store), Arc::clone(&effects.keys)).await?;
    at.sign_in_others(count).await
}
