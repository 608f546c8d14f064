//! `dist --prove`: the wheels of each target, installed together; the broker is the program they bring.

use super::Workshop;
use super::interpreters::{self, Interpreter};
use super::target::Target;
use crate::demo::{DemoMachine, Person, start_emulator};
use crate::failure::OrHint as _;
use crate::process;
use crate::tools::Repository;
use anyhow::{Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Stdio;

const SCOPE: &str = "https://storage.azure.com/.default";

/// What pip takes for the answers of the Python that it runs in.
const ANY_PYTHON: [&str; 5] = [
    "--only-binary=:all:",
    "--implementation=cp",
    "--python-version=3.9",
    "--abi=abi3",
    "--abi=none",
];

pub(super) async fn all(workshop: &Workshop<'_>, targets: &[&'static Target]) -> Result<()> {
    let mut cargo = workshop.repository.cargo(&["build", "--quiet", "--locked", "--bins"]);
    cargo.args(["-p", "keybearer-cli", "-p", "keybearer-emulator", "-p", "xtask"]);
    process::run(&mut cargo).await.or_hint("build the emulator", "mend what is named above")?;
    for target in targets {
        println!("== tokens on {}", target.triple);
        one(workshop, target).await?;
    }
    Ok(())
}

/// Proves the wheels that are installed on a target.
async fn one(workshop: &Workshop<'_>, target: &Target) -> Result<()> {
    let mut stage = DemoMachine::new(Repository::here(), workshop.python.clone(), Person::Played)?;
    let outcome = tokens(&mut stage, workshop, target).await;
    if outcome.is_err() {
        stage.show_logs();
    }
    stage.stop().await;
    outcome
}

async fn tokens(stage: &mut DemoMachine, workshop: &Workshop<'_>, target: &Target) -> Result<()> {
    let packages = install(stage, workshop, target)
        .await
        .or_hint("install the wheels", "build what is named above as NOT BUILT")?;
    let runner = interpreters::runner(target.machine, &stage.path("home")).await?;
    let program = packages.join("bin/keybearer");
    let keybearer = |stage: &DemoMachine, arguments: &[&str]| {
        let mut keybearer = interpreters::command(&runner, &program);
        keybearer.args(arguments);
        stage.furnish(keybearer)
    };
    start_emulator(stage)
        .await
        .or_hint("start the emulator", "run `target/debug/keybearer-emulator serve` yourself")?;
    let (socket, log) = (stage.path("run/keybearer/broker.sock"), stage.path("broker.log"));
    let mut broker = keybearer(stage, &["broker", "run"]);
    let probe = async || socket.exists().then_some(());
    stage.services.start("broker", &mut broker, &log, probe).await?;
    let version = process::capture(&mut keybearer(stage, &["--version"])).await?;
    let mut sign_in = keybearer(stage, &["token", "--scope", SCOPE]);
    let token = process::capture(&mut sign_in)
        .await
        .or_hint("sign in with the program", "the broker's log is shown above")?;
    ensure!(token.trim().split('.').count() == 3, "the program printed something else than a JWT");
    println!("{}: token of {} characters", version.trim(), token.trim().len());
    fetch(stage, workshop, target, &packages)
        .await
        .or_hint("fetch a token with the wheel", "see above")?;
    let mut stop = keybearer(stage, &["broker", "stop"]);
    process::run(stop.stdout(Stdio::null())).await.or_hint("stop the broker", "see above")
}

/// Has pip install the package, and what it requires, as on a system with the target's tag.
async fn install(stage: &DemoMachine, workshop: &Workshop<'_>, target: &Target) -> Result<PathBuf> {
    let packages = stage.path("packages");
    let mut pip = workshop.python.command(&["-m", "pip", "--isolated", "install", "--quiet"]);
    pip.args(["--disable-pip-version-check", "--no-index"]).args(ANY_PYTHON);
    pip.arg(format!("--platform={}", target.tag));
    for built in [Some(target), target.of_program()].into_iter().flatten() {
        pip.arg("--find-links").arg(workshop.folder(built));
    }
    process::run(pip.arg("--target").arg(&packages).arg("keybearer")).await?;
    Ok(packages)
}

/// Fetches a token with each interpreter the target's wheel is for.
async fn fetch(
    stage: &DemoMachine,
    workshop: &Workshop<'_>,
    target: &Target,
    packages: &Path,
) -> Result<()> {
    let zig = workshop.zig().await?;
    let script = workshop.repository.path("xtask/dist/fetch_token.py");
    for interpreter in Interpreter::all_for(workshop.repository, target, &zig).await? {
        let mut python = stage.furnish(interpreter.command());
        print!("keybearer with ");
        let said = process::tee(python.arg(&script).arg(packages)).await?;
        if !said.success {
            bail!("no token on {}", target.triple);
        }
    }
    Ok(())
}
