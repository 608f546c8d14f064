//! `keybearer`: sign in, get tokens, and look after the broker, from a command line.
//!
//! This program promises that standard output carries the answer and nothing else (invariant I10),
//! that its exit codes say what to do next, and that it decides nothing about tokens: the broker
//! does.

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
