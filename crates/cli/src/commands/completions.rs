use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};
use keybearer_core::{Error, Result};

use super::below_help;
use crate::arguments::Arguments;
use crate::output;

const EXAMPLE: &str = "\
Example:
  keybearer completions bash > ~/.local/share/bash-completion/completions/keybearer";

/// Print shell completions for this program
#[derive(Args, Debug)]
#[command(after_help = below_help(EXAMPLE))]
pub(crate) struct Completions {
    /// Shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Result<()> {
        let mut script = Vec::new();
        generate(self.shell, &mut Arguments::command(), "keybearer", &mut script);
        let script = String::from_utf8(script).map_err(|error| {
            Error::internal("could not generate the completions").with_source(error)
        })?;
        output::text(&script)
    }
}
