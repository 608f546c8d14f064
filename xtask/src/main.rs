//! The commands for developing Keybearer: `cargo xtask demo`, `test`, `check`, `interop`, `comparison`,
//! `bench`, `dist`, `messages`, `words` and `browse`.
//!
//! Users do not install any of this. Every command prepares the tools it needs below `.keybearer/` and
//! stops the processes it started, also when it is interrupted.
#![allow(clippy::print_stdout, reason = "these commands print for the person at the terminal")]

mod arrows;
mod bench;
mod browse;
mod check;
mod comparison;
mod demo;
mod dist;
mod failure;
mod interop;
mod messages;
mod process;
mod prose;
mod services;
mod source_files;
mod test;
mod tools;
mod words;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Commands for developing Keybearer")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sign in once, list blob containers from Rust and from Python, offline
    Demo(demo::Options),
    /// Run every test of the project
    Test(test::Options),
    /// Check formatting, lints, sizes, promises, the crate graph, docs and licences
    Check(check::Options),
    /// Measure the performance targets, each beside its peer
    Bench(bench::Options),
    /// Run other vendors' unmodified clients against Keybearer's broker; part of `test`
    Interop,
    /// Compare every keyword and behaviour with the official package, into docs/comparison.md; takes minutes
    Comparison(comparison::Options),
    /// Build wheels and programs for every supported Linux, into target/dist
    Dist(dist::Options),
    /// List every text that a user may see, and those of the wrong form
    Messages(messages::Options),
    /// Count the words of xtask/forbidden-words.txt for each 10,000 words, by crate and in total
    Words(words::Options),
    /// Act as the person in a sign-in; use it as $BROWSER
    Browse(browse::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Demo(options) => demo::run(&options).await,
        Command::Test(options) => test::run(&options).await,
        Command::Check(options) => check::run(&options).await,
        Command::Bench(options) => bench::run(&options).await,
        Command::Interop => interop::run().await,
        Command::Comparison(options) => comparison::run(&options).await,
        Command::Dist(options) => dist::run(&options).await,
        Command::Messages(options) => messages::run(&options).await,
        Command::Words(options) => words::run(&options),
        Command::Browse(options) => browse::run(&options).await,
    };
    failure::report(outcome)
}
