//! `demo`: the main job of the project. A person signs in once; a Rust program and a Python program
//! list the containers of a storage account.

mod machine;
mod servers;
mod steps;

use crate::failure::OrHint as _;
use crate::process::{self, unless_interrupted};
use crate::tools::{Python, Repository};
use anyhow::{Result, bail, ensure};
pub(crate) use machine::{DemoMachine, Person};
pub(crate) use servers::start_emulator;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Sign in yourself, in your own browser
    #[arg(long)]
    interactive: bool,
    /// Use real Azure, and sign in in your own browser
    #[arg(long, requires = "account")]
    live: bool,
    /// The name of the storage account for --live
    #[arg(long, requires = "live")]
    account: Option<String>,
}

impl Options {
    /// The demo as a test, without a person.
    pub(crate) const fn unattended() -> Self {
        Self { interactive: false, live: false, account: None }
    }
}

/// Where the containers are.
enum Cloud {
    Emulated,
    Live { account_url: String },
}

pub(crate) async fn run(options: &Options) -> Result<()> {
    if cfg!(not(unix)) {
        bail!("the demo runs the Linux broker; run it on Linux or in WSL");
    }
    let cloud = match &options.account {
        Some(name) => Cloud::Live { account_url: account_url(name)? },
        None => Cloud::Emulated,
    };
    let person = if options.interactive || options.live { Person::Real } else { Person::Simulated };
    let repository = Repository::here();
    let python = unless_interrupted(prepare(&repository)).await?;
    let mut machine = DemoMachine::new(repository, python, person)?;
    let outcome = unless_interrupted(steps::run(&mut machine, &cloud)).await;
    if outcome.is_err() {
        machine.show_logs();
    }
    machine.stop().await;
    outcome
}

fn account_url(name: &str) -> Result<String> {
    let is_name = (3..=24).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !is_name {
        bail!("{name} is not a storage account name: 3 to 24 lower-case letters and digits");
    }
    Ok(format!("https://{name}.blob.core.windows.net"))
}

/// Builds the programs and the Python package.
async fn prepare(repository: &Repository) -> Result<Python> {
    println!("building the programs");
    let packages = ["-p", "keybearer-cli", "-p", "keybearer-emulator", "-p", "keybearer-examples"];
    let mut cargo = repository.cargo(&["build", "--quiet", "--locked", "--bins"]);
    process::run(cargo.args(packages))
        .await
        .or_hint("build the programs", "fix what the compiler reports")?;
    for name in ["keybearer", "keybearer-emulator", "list-containers"] {
        ensure!(repository.binary(name).is_file(), "the build did not create the program {name}");
    }
    println!("building the Python package");
    let python =
        Python::prepare(repository, "python", &repository.path("xtask/python/requirements.txt"))
            .await
            .or_hint("prepare Python", "install what is missing, then run the demo again")?;
    python.install_keybearer(repository, "dev").await.or_hint(
        "build the Python package",
        "fix what maturin reports, or delete .keybearer/python and try again",
    )?;
    Ok(python)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_name_cannot_smuggle_in_another_host() {
        assert_eq!(account_url("demo42").unwrap(), "https://demo42.blob.core.windows.net");
        for name in ["ab", "Demo", "a.example/x", "evil.example#", "a234567890123456789012345"] {
            assert!(account_url(name).is_err(), "{name}");
        }
    }
}
