//! `dist --prove`: installs the wheels of each target together and fetches tokens; the broker is the
//! program in the wheel of `keybearer-cli`.

use super::WheelBuilder;
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

/// Options that make pip install for another Python than the one it runs in.
const ANY_PYTHON: [&str; 5] = [
    "--only-binary=:all:",
    "--implementation=cp",
    "--python-version=3.9",
    "--abi=abi3",
    "--abi=none",
];

pub(super) async fn all(builder: &WheelBuilder<'_>, targets: &[&'static Target]) -> Result<()> {
    let mut cargo = builder.repository.cargo(&["build", "--quiet", "--locked", "--bins"]);
    cargo.args(["-p", "keybearer-cli", "-p", "keybearer-emulator", "-p", "xtask"]);
    process::run(&mut cargo).await.or_hint("build the emulator", "fix what is reported above")?;
    for target in targets {
        println!("== tokens on {}", target.triple);
        one(builder, target).await?;
    }
    Ok(())
}

/// Installs the wheels of a target and fetches tokens with them.
async fn one(builder: &WheelBuilder<'_>, target: &Target) -> Result<()> {
    let mut demo_machine =
        DemoMachine::new(Repository::here(), builder.python.clone(), Person::Simulated)?;
    let outcome = tokens(&mut demo_machine, builder, target).await;
    if outcome.is_err() {
        demo_machine.show_logs();
    }
    demo_machine.stop().await;
    outcome
}

async fn tokens(
    demo_machine: &mut DemoMachine,
    builder: &WheelBuilder<'_>,
    target: &Target,
) -> Result<()> {
    let packages = install(demo_machine, builder, target)
        .await
        .or_hint("install the wheels", "build what is reported above as NOT BUILT")?;
    let runner = interpreters::runner(target.machine, &demo_machine.path("")).await?;
    let program = packages.join("bin/keybearer");
    let keybearer = |demo_machine: &DemoMachine, arguments: &[&str]| {
        let mut keybearer = interpreters::command(&runner, &program);
        keybearer.args(arguments);
        demo_machine.with_environment(keybearer)
    };
    start_emulator(demo_machine)
        .await
        .or_hint("start the emulator", "run `target/debug/keybearer-emulator serve` to see why")?;
    let (socket, log) =
        (demo_machine.path("run/keybearer/broker.sock"), demo_machine.path("broker.log"));
    let mut broker = keybearer(demo_machine, &["broker", "run"]);
    let probe = async || socket.exists().then_some(());
    demo_machine.services.start("broker", &mut broker, &log, probe).await?;
    let version = process::capture(&mut keybearer(demo_machine, &["--version"])).await?;
    let mut sign_in = keybearer(demo_machine, &["token", "--scope", SCOPE]);
    let token = process::capture(&mut sign_in)
        .await
        .or_hint("sign in with the program", "see the log of the broker above")?;
    ensure!(token.trim().split('.').count() == 3, "the program did not print a JWT");
    println!("{}: token of {} characters", version.trim(), token.trim().len());
    fetch(demo_machine, builder, target, &packages)
        .await
        .or_hint("fetch a token with the wheel", "see the output above")?;
    let mut stop = keybearer(demo_machine, &["broker", "stop"]);
    process::run(stop.stdout(Stdio::null()))
        .await
        .or_hint("stop the broker", "see the output above")
}

/// Installs the package and its requirements with pip, as on a system with the target's tag.
async fn install(
    demo_machine: &DemoMachine,
    builder: &WheelBuilder<'_>,
    target: &Target,
) -> Result<PathBuf> {
    let packages = demo_machine.path("packages");
    let mut pip = builder.python.command(&["-m", "pip", "--isolated", "install", "--quiet"]);
    pip.args(["--disable-pip-version-check", "--no-index"]).args(ANY_PYTHON);
    pip.arg(format!("--platform={}", target.tag));
    for built in [Some(target), target.with_program()].into_iter().flatten() {
        pip.arg("--find-links").arg(builder.folder(built));
    }
    process::run(pip.arg("--target").arg(&packages).arg("keybearer")).await?;
    Ok(packages)
}

/// Fetches a token with each interpreter of the target.
async fn fetch(
    demo_machine: &DemoMachine,
    builder: &WheelBuilder<'_>,
    target: &Target,
    packages: &Path,
) -> Result<()> {
    let zig = builder.zig().await?;
    let script = builder.repository.path("xtask/dist/fetch_token.py");
    for interpreter in Interpreter::all_for(builder.repository, target, &zig).await? {
        let mut python = demo_machine.with_environment(interpreter.command());
        print!("keybearer with ");
        let output = process::tee(python.arg(&script).arg(packages)).await?;
        if !output.success {
            bail!("the wheel for {} fetched no token", target.triple);
        }
    }
    Ok(())
}
