//! The broker as `keybearer broker run` starts it, without a command line around it.

use keybearer_broker::{BrokerOptions, run};

fn main() -> anyhow::Result<()> {
    run(BrokerOptions { idle_exit: None })?;
    Ok(())
}
