//! `dist --prove`: a token by each wheel, from a broker that is the machine's own program.

use super::Workshop;
use super::interpreters::{self, Interpreter};
use super::target::{Library, Machine, Target};
use super::wheel::Wheel;
use crate::demo::{Person, Stage, start_emulator};
use crate::failure::OrHint as _;
use crate::process;
use crate::tools::Repository;
use anyhow::{Context as _, Result, bail, ensure};
use std::path::PathBuf;
use std::process::Stdio;

const SCOPE: &str = "https://storage.azure.com/.default";

pub(super) async fn all(workshop: &Workshop<'_>, targets: &[&'static Target]) -> Result<()> {
    let mut cargo = workshop.repository.cargo(&["build", "--quiet", "--locked", "--bins"]);
    cargo.args(["-p", "keybearer-cli", "-p", "keybearer-emulator", "-p", "xtask"]);
    process::run(&mut cargo).await.or_hint("build the emulator", "mend what is named above")?;
    for machine in Machine::ALL {
        let targets: Vec<&Target> =
            targets.iter().copied().filter(|target| target.machine == machine).collect();
        if !targets.is_empty() {
            println!("== tokens on {}", machine.name);
            one(workshop, machine, &targets).await?;
        }
    }
    Ok(())
}

/// Proves the program of a machine and the wheels for it.
async fn one(workshop: &Workshop<'_>, machine: &Machine, targets: &[&Target]) -> Result<()> {
    let mut stage = Stage::new(Repository::here(), workshop.python.clone(), Person::Played)?;
    let outcome = tokens(&mut stage, workshop, machine, targets).await;
    if outcome.is_err() {
        stage.show_logs();
    }
    stage.stop().await;
    outcome
}

async fn tokens(
    stage: &mut Stage,
    workshop: &Workshop<'_>,
    machine: &Machine,
    targets: &[&Target],
) -> Result<()> {
    let runner = interpreters::runner(machine, &stage.path("home")).await?;
    let program = program(workshop, machine)?;
    let keybearer = |stage: &Stage, arguments: &[&str]| {
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
    let mut sign_in = keybearer(stage, &["token", "--scope", SCOPE]);
    let token = process::capture(&mut sign_in)
        .await
        .or_hint("sign in with the program", "the broker's log is shown above")?;
    ensure!(token.trim().split('.').count() == 3, "the program printed something else than a JWT");
    println!("keybearer: token of {} characters", token.trim().len());
    for target in targets {
        fetch(stage, workshop, target)
            .await
            .or_hint("fetch a token with the wheel", "see above")?;
    }
    let mut stop = keybearer(stage, &["broker", "stop"]);
    process::run(stop.stdout(Stdio::null())).await.or_hint("stop the broker", "see above")
}

/// Fetches a token with each interpreter the target's wheel is for.
async fn fetch(stage: &Stage, workshop: &Workshop<'_>, target: &Target) -> Result<()> {
    let unpacked = stage.path(target.triple);
    let wheel = Wheel::module(target).find_in(&workshop.folder(target))?;
    let mut unpack = workshop.python.command(&["-m", "zipfile", "-e"]);
    process::run(unpack.arg(wheel).arg(&unpacked)).await?;
    let zig = workshop.zig().await?;
    let script = workshop.repository.path("xtask/dist/fetch_token.py");
    for interpreter in Interpreter::all_for(workshop.repository, target, &zig).await? {
        let mut python = stage.furnish(interpreter.command());
        print!("{}: ", target.triple);
        let said = process::tee(python.arg(&script).arg(&unpacked)).await?;
        if !said.success {
            bail!("no token on {}", target.triple);
        }
    }
    Ok(())
}

/// The static program for the machine.
fn program(workshop: &Workshop<'_>, machine: &Machine) -> Result<PathBuf> {
    let target = Target::ALL
        .iter()
        .find(|target| target.machine == machine && target.library == Library::Musl)
        .context("every machine has a target for musl")?;
    let program = workshop.output.join(target.triple).join("keybearer");
    if !program.is_file() {
        bail!(
            "there is no program for {} yet; run `cargo xtask dist --target {}`",
            machine.name,
            target.triple
        );
    }
    Ok(program)
}
