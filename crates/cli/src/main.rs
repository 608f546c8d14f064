//! The command line program `keybearer`: sign in, get tokens, and manage the broker.
//!
//! Standard output has the answer and nothing else (invariant I10), and the exit code says what to do
//! next. The program makes no decisions about tokens; the broker does.

mod arguments;
mod commands;
mod exit;
mod failure;
mod output;
mod request;
mod session;
mod terminal;
mod when;

use std::process::ExitCode;

use arguments::Arguments;
use clap::Parser;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let format = arguments.command.error_format();
    match arguments.command.run() {
        Ok(code) => code,
        Err(error) => failure::report(&error, format),
    }
}
