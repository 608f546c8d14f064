use clap::Args;
use keybearer_core::{Error, Missing, Result};

use super::below_help;
use crate::failure::ErrorFormat;

/// Manage the per-user broker (Linux only)
///
/// On this system the broker of the operating system is used.
#[derive(Args, Debug)]
#[command(after_help = below_help("Example: show which broker is used\n  keybearer doctor"))]
pub(crate) struct Broker {
    /// Ignored
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    _anything: Vec<String>,
}

impl Broker {
    #[allow(clippy::unused_self, reason = "same signature as on Linux")]
    pub(crate) fn run(self) -> Result<()> {
        let message = "this program has a broker for Linux only";
        Err(Error::unavailable(Missing::Broker, message)
            .with_hint("run `keybearer doctor` to see which broker is used"))
    }

    #[allow(clippy::unused_self, reason = "same signature as on Linux")]
    pub(crate) const fn error_format(&self) -> ErrorFormat {
        ErrorFormat::Text
    }
}
