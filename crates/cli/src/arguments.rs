use std::process::ExitCode;

use clap::{Parser, Subcommand};
use keybearer_core::Result;

use crate::commands::{accounts, broker, completions, doctor, login, logout, token};
use crate::exit::{EXIT_CODES, Exit};
use crate::failure::ErrorFormat;

/// Sign in to Azure once; every program gets tokens
#[derive(Parser, Debug)]
#[command(name = "keybearer", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
#[command(infer_long_args = false, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Login(login::Login),
    Token(token::Token),
    Accounts(accounts::Accounts),
    Logout(logout::Logout),
    Broker(broker::Broker),
    Doctor(doctor::Doctor),
    Completions(completions::Completions),
}

impl Command {
    /// Runs the command.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let done = match self {
            Self::Login(login) => login.run(),
            Self::Token(token) => token.run(),
            Self::Accounts(accounts) => accounts.run(),
            Self::Logout(logout) => logout.run(),
            Self::Broker(broker) => broker.run(),
            Self::Doctor(doctor) => return doctor.run(),
            Self::Completions(completions) => completions.run(),
        };
        done.map(|()| Exit::Done.into())
    }

    /// The format in which the command reports an error.
    pub(crate) fn error_format(&self) -> ErrorFormat {
        match self {
            Self::Token(token) => token.error_format(),
            Self::Accounts(accounts) => accounts.error_format(),
            Self::Broker(broker) => broker.error_format(),
            Self::Doctor(doctor) => doctor.error_format(),
            Self::Login(_) | Self::Logout(_) | Self::Completions(_) => ErrorFormat::Text,
        }
    }
}

/// The output formats of commands that print a table or JSON.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TableFormat {
    /// Columns, for people
    Table,
    /// JSON, for programs
    Json,
}

impl TableFormat {
    pub(crate) const fn error_format(self) -> ErrorFormat {
        match self {
            Self::Table => ErrorFormat::Text,
            Self::Json => ErrorFormat::Json,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example_and_the_exit_codes_in_its_help() {
        for command in Arguments::command().get_subcommands_mut() {
            let help = command.render_long_help().to_string();
            assert!(help.contains("\nExample"), "{help}");
            assert!(help.contains("\nExit codes:") || command.has_subcommands(), "{help}");
        }
    }
}
