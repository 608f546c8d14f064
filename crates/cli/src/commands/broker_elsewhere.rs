use clap::Args;
use keybearer_core::{Error, Missing, Result};

use super::below_help;
use crate::failure::ErrorFormat;

/// Only on Linux: here the system's own broker serves every program
///
/// There is nothing to run, look at or end.
#[derive(Args, Debug)]
#[command(after_help = below_help("Example: what serves here\n  keybearer doctor"))]
pub(crate) struct Broker {
    /// Anything
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    _anything: Vec<String>,
}

impl Broker {
    #[allow(clippy::unused_self, reason = "as on other systems")]
    pub(crate) fn run(self) -> Result<()> {
        let message = "this program has a broker for Linux only";
        Err(Error::unavailable(Missing::Broker, message)
            .with_hint("run `keybearer doctor` to see what serves here"))
    }

    #[allow(clippy::unused_self, reason = "as on other systems")]
    pub(crate) const fn error_format(&self) -> ErrorFormat {
        ErrorFormat::Text
    }
}
