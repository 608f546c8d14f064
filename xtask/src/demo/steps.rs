//! The steps of the demo.

use super::Cloud;
use super::machine::{DemoMachine, Person};
use super::servers::{start_azurite, start_emulator, start_session_bus};
use crate::failure::OrHint as _;
use crate::process;
use anyhow::{Context as _, Result, bail, ensure};
use keybearer_emulator::{Client, Ready};
use std::time::Instant;
use tokio::process::Command;

pub(crate) async fn run(machine: &mut DemoMachine, cloud: &Cloud) -> Result<()> {
    start_session_bus(machine)
        .await
        .or_hint("start a session bus", "check that `dbus-daemon --session` works here")?;
    match cloud {
        Cloud::Emulated => run_emulated(machine).await,
        Cloud::Live { account_url } => run_live(machine, account_url).await,
    }
}

async fn run_live(machine: &DemoMachine, account_url: &str) -> Result<()> {
    println!(
        "your browser opens; sign in with an account that has the role Storage Blob Data Reader"
    );
    step(machine, Language::Rust, account_url, Expected::SignIn).await?;
    step(machine, Language::Python, account_url, Expected::NoSignIn).await
}

async fn run_emulated(machine: &mut DemoMachine) -> Result<()> {
    let emulator = start_emulator(machine)
        .await
        .or_hint("start the emulator", "run `target/debug/keybearer-emulator serve` to see why")?;
    println!("emulator at {}", emulator.authority_host);
    // Logs everything, because secrets must not be in the log at any level (promise I5).
    machine.set("KEYBEARER_LOG", "trace");
    if machine.person == Person::Real {
        let user = emulator.users.first().context("the emulator has no users")?;
        println!("your browser opens; accept the emulator's certificate there, then sign in as");
        println!("  {}  password  {}", user.upn, user.password);
    }
    step(machine, Language::Rust, &emulator.blob_endpoint, Expected::SignIn).await?;
    step(machine, Language::Python, &emulator.blob_endpoint, Expected::NoSignIn).await?;

    let azurite = start_azurite(machine).await.or_hint(
        "start Azurite",
        "install Node.js 20 or newer; the first start also needs the npm registry",
    )?;
    println!("\nAzurite at {azurite}");
    create_containers(machine, &emulator, &azurite)
        .await
        .or_hint("create containers in Azurite", "see above whether the token or Azurite failed")?;
    step(machine, Language::Rust, &azurite, Expected::NoSignIn).await?;
    step(machine, Language::Python, &azurite, Expected::NoSignIn).await?;

    let redeemed = codes_redeemed(&emulator).await.or_hint(
        "read the requests that the emulator received",
        "check that GET /emulator/requests returns a list",
    )?;
    ensure!(
        redeemed == 1,
        "the emulator redeemed {redeemed} authorization codes; one sign-in redeems exactly one"
    );
    println!("\nfour programs, one sign-in");
    let log = std::fs::read_to_string(machine.path("run/keybearer/broker.log"))?;
    let passwords: Vec<&str> = emulator.users.iter().map(|user| user.password.as_str()).collect();
    let leaked = log.split_whitespace().any(|word| is_secret(word, &passwords));
    ensure!(
        !leaked && !log.is_empty(),
        "the broker's log at level trace is empty or contains a secret"
    );
    Ok(())
}

/// Whether a word of a log contains a JWT, a secret of the emulator, or one of these passwords.
fn is_secret(word: &str, passwords: &[&str]) -> bool {
    let invented = word.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
    word.contains("eyJ")
        || invented.into_iter().any(|part| part.starts_with("1.") && part.len() > 40)
        || passwords.iter().any(|password| word.contains(password))
}

#[derive(Clone, Copy)]
enum Language {
    Rust,
    Python,
}

impl Language {
    const fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Python => "Python",
        }
    }

    fn example(self, machine: &DemoMachine) -> Command {
        match self {
            Self::Rust => machine.program("list-containers"),
            Self::Python => {
                let mut python = machine.python();
                python.arg(machine.repository.path("examples/python/list_containers.py"));
                python
            }
        }
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Expected {
    SignIn,
    NoSignIn,
}

/// Runs an example, and checks the containers it found and the source of its token.
async fn step(
    machine: &DemoMachine,
    language: Language,
    account_url: &str,
    expected: Expected,
) -> Result<()> {
    let name = language.name();
    println!("\n{name}: list the containers of {account_url}");
    let (hint, sign_in) = match expected {
        Expected::SignIn => {
            ("run `target/debug/keybearer doctor`, and see the logs above", "a sign-in")
        }
        Expected::NoSignIn => (
            "see the logs above for why the broker did not use the connected account",
            "no sign-in",
        ),
    };
    let begun = Instant::now();
    let mut example = language.example(machine);
    let output = process::tee(example.arg(account_url)).await;
    let checked = output.and_then(|output| {
        ensure!(output.success, "the program failed");
        let (containers, source) =
            read_example(&output.stdout).context("the program did not print what it found")?;
        ensure!(containers > 0, "the program found no containers");
        ensure!(
            (source == "sign-in") == (expected == Expected::SignIn),
            "the token came from {source}; expected {sign_in}"
        );
        Ok(())
    });
    checked.or_hint(&format!("run the {name} example against {account_url}"), hint)?;
    println!("  ({} ms)", begun.elapsed().as_millis());
    Ok(())
}

/// Number of containers, and the source of the token, as both examples print them.
fn read_example(stdout: &str) -> Option<(usize, &str)> {
    let containers = stdout.lines().filter(|line| line.starts_with("container ")).count();
    let token = stdout.lines().find_map(|line| line.strip_prefix("token for "))?;
    let (_, source) = token.rsplit_once(" from ")?;
    Some((containers, source))
}

/// Creates two containers in Azurite, which is empty at first, with a token of the command line.
async fn create_containers(
    machine: &DemoMachine,
    emulator: &Ready,
    account_url: &str,
) -> Result<()> {
    let mut keybearer = machine.program("keybearer");
    keybearer.args([
        "token",
        "--silent",
        "--output",
        "token",
        "--scope",
        "https://storage.azure.com/.default",
    ]);
    let token = process::capture(&mut keybearer).await?;
    let client = Client::new(emulator)?;
    for name in ["alpha", "beta"] {
        let url = format!("{account_url}/{name}?restype=container");
        let request =
            client.http().put(url).bearer_auth(token.trim()).header("x-ms-version", "2025-11-05");
        let answer = request.header("content-length", "0").send().await?;
        if !answer.status().is_success() {
            bail!("could not create the container {name}: Azurite answered {}", answer.status());
        }
    }
    Ok(())
}

async fn codes_redeemed(emulator: &Ready) -> Result<usize> {
    let requests = Client::new(emulator)?.requests().await?;
    Ok(requests
        .iter()
        .filter(|request| request["grant"] == "authorization_code" && request["outcome"] == "token")
        .count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_looks() {
        let passwords = ["Dev-Passw0rd!"];
        let invented = format!("token=\"1.{}\"", "a".repeat(43));
        for word in ["x=eyJhbGciOi", "password=Dev-Passw0rd!", invented.as_str()] {
            assert!(is_secret(word, &passwords), "{word}");
        }
        for word in ["version=1.2.3", "correlation_id=5a3ad5d1-0000-4000-8000-000000000001"] {
            assert!(!is_secret(word, &passwords), "{word}");
        }
    }

    #[test]
    fn an_example_tells_containers_and_source() {
        let stdout =
            "token for dev@contoso.example from sign-in\ncontainer alpha\ncontainer beta\n";
        assert_eq!(read_example(stdout), Some((2, "sign-in")));
        assert_eq!(read_example("container alpha\n"), None);
    }
}
