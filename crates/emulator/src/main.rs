//! `keybearer-emulator`: the emulator as a program.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use keybearer_emulator::{Emulator, EmulatorOptions, HostNames};

mod lifetime;

use self::lifetime::Lifetime;

/// An offline Microsoft Entra with a storage account, for tests and demos.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Listen on loopback, write DIR/ca.pem and DIR/ready.json, and print one line when ready.
    Serve(Serve),
}

#[derive(Args)]
struct Serve {
    /// Port of the authority; 0 means any free port.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Directory for certificates and ready.json [default: a new directory, removed at the end].
    #[arg(long)]
    dir: Option<PathBuf>,
    /// TOML file with tenants, users, apps, policies, faults and containers to add or replace.
    #[arg(long, value_name = "FILE")]
    fixture: Option<PathBuf>,
    /// Sign this user in at once, without pages.
    #[arg(long, value_name = "UPN")]
    auto_sign_in: Option<String>,
    /// Use the host names of Azure's public cloud; a proxy must lead clients here.
    #[arg(long)]
    as_azure: bool,
    /// End together with the process that started this one.
    #[arg(long)]
    exit_with_parent: bool,
}

#[expect(clippy::print_stdout, reason = "the ready line is the output of this program")]
fn serve(arguments: Serve) -> Result<(), Box<dyn std::error::Error>> {
    let lifetime = Lifetime::watch(arguments.exit_with_parent)?;
    let fixture = arguments.fixture.map(|path| {
        let text = std::fs::read_to_string(&path);
        text.map_err(|error| format!("could not read {}: {error}", path.display()))
    });
    let options = EmulatorOptions {
        port: arguments.port,
        dir: arguments.dir,
        fixture: fixture.transpose()?,
        auto_sign_in: arguments.auto_sign_in,
        host_names: if arguments.as_azure { HostNames::Azure } else { HostNames::Loopback },
    };
    let emulator = Emulator::start(options)?;
    println!("ready {}", serde_json::to_string(emulator.ready())?);
    lifetime.wait();
    Ok(())
}

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter("warn").init();
    let Command::Serve(arguments) = Cli::parse().command;
    match serve(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}{}", causes(&*error));
            ExitCode::FAILURE
        }
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |cause| cause.source())
        .map(|cause| format!(": {cause}"))
        .collect()
}
