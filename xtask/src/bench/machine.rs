//! The measured programs, built, with the servers they need.

use super::figures::Figures;
use super::rows::Measurement;
use crate::failure::OrHint as _;
use crate::process;
use crate::services::Services;
use crate::test::build;
use crate::tools::{Python, Repository};
use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tempfile::TempDir;
use tokio::process::Command;

/// Everything that the measurements need. [`stop`](Self::stop) ends the servers.
#[derive(Debug)]
pub(super) struct BenchMachine {
    repository: Repository,
    python: Python,
    services: Services,
    scratch: TempDir,
    /// The runtime directories of the brokers with a filled cache, by the number of connected accounts.
    warm_brokers: BTreeMap<u32, PathBuf>,
}

/// How many times a whole process is started in one round.
const STARTS: &str = "15";

impl BenchMachine {
    /// Builds the programs, the wheel and the C program.
    pub(super) async fn prepare(repository: Repository) -> Result<Self> {
        println!("building the measured programs; the first time takes some minutes");
        for (package, profile) in [("keybearer-bench", PROFILE), ("keybearer-cli", SHIPPED)] {
            let build =
                ["build", "--quiet", "--locked", "--bins", "-p", package, "--profile", profile];
            process::run(&mut repository.cargo(&build))
                .await
                .or_hint("build the measured programs", "fix what the compiler reports")?;
        }
        let requirements = repository.path("benches/python/requirements.txt");
        let python = Python::prepare(&repository, "bench-python", &requirements)
            .await
            .or_hint("prepare Python", "install what is missing, then run the bench again")?;
        python
            .install_keybearer(&repository, PROFILE)
            .await
            .or_hint("build the Python package", "fix what maturin reports")?;
        let scratch = tempfile::tempdir().context("could not create a directory")?;
        Ok(Self {
            repository,
            python,
            services: Services::default(),
            scratch,
            warm_brokers: BTreeMap::new(),
        })
    }

    /// Runs a measurement for so many rounds; Keybearer and the peer take turns.
    pub(super) async fn measure(
        &mut self,
        measurement: Measurement,
        rounds: usize,
        figures: &mut Figures,
    ) -> Result<()> {
        let mut commands = self.commands(measurement).await?;
        for _ in 0..rounds {
            for command in &mut commands {
                figures.read(&process::capture(command).await?)?;
            }
        }
        Ok(())
    }

    /// Stops the servers.
    pub(super) async fn stop(&mut self) {
        self.services.stop().await;
    }

    async fn commands(&mut self, measurement: Measurement) -> Result<Vec<Command>> {
        Ok(match measurement {
            Measurement::RustHit => vec![self.program("credential_hit"), self.peer("rust-hit", 1)],
            Measurement::PythonHit { accounts } => {
                let row = match accounts {
                    1 => "python-hit".to_owned(),
                    accounts => format!("python-hit-{accounts}"),
                };
                vec![self.python_hit(&row, accounts).await?, self.peer(&row, accounts)]
            }
            Measurement::Import => vec![self.import()],
            Measurement::PythonFirst => vec![self.python_first().await?],
            Measurement::Token => vec![self.token().await?],
            Measurement::Hits => vec![self.program("hits"), self.program("session_hit")],
            Measurement::HitsBesidePeer => vec![self.hits_beside_peer().await?],
            Measurement::EngineHit => vec![self.program("engine_hit")],
            Measurement::DurableWrite => vec![self.program("durable_write")],
            Measurement::BrokerStart => vec![self.broker_start()],
        })
    }

    /// azure-identity with a filled cache.
    fn peer(&self, row: &str, accounts: u32) -> Command {
        let mut python = self.script("azure_identity_hit.py");
        python.args([row, &accounts.to_string()]);
        python
    }

    fn script(&self, name: &str) -> Command {
        let mut python = self.python.command(&[]);
        python.arg(self.repository.path("benches/python").join(name));
        python
    }

    /// The runtime directory of a broker that has tokens in its cache and this number of accounts.
    async fn warm_broker(&mut self, accounts: u32) -> Result<PathBuf> {
        if let Some(run) = self.warm_brokers.get(&accounts) {
            return Ok(run.clone());
        }
        let run = self.scratch.path().join(format!("run{accounts}"));
        let socket = run.join("keybearer/broker.sock");
        let mut server = self.program("hit_server");
        server.args([&format!("broker:{accounts}"), "--socket"]).arg(&socket);
        let log = self.scratch.path().join("hit_server.log");
        let ready = async || socket.exists().then_some(());
        self.services.start("the warm broker", &mut server, &log, ready).await?;
        self.warm_brokers.insert(accounts, run.clone());
        Ok(run)
    }

    async fn python_hit(&mut self, row: &str, accounts: u32) -> Result<Command> {
        let mut python = self.script("keybearer_hit.py");
        python.arg(row).env("XDG_RUNTIME_DIR", self.warm_broker(accounts).await?);
        Ok(python)
    }

    /// The test machine of the real clients, with the broker's release build.
    async fn python_first(&self) -> Result<Command> {
        build(&self.repository, &["keybearer-cli", "keybearer-emulator", "xtask"]).await?;
        let mut python = self.script("first_token.py");
        python.arg(STARTS).arg(self.python.interpreter()).arg(self.keybearer());
        Ok(python)
    }

    /// A service for the same bus name, made with another crate. It is built separately because of its
    /// licence.
    async fn hits_beside_peer(&self) -> Result<Command> {
        let directory = self.repository.path("benches/identity-broker-peer");
        let target = self.repository.binaries().with_file_name("identity-broker-peer");
        let mut cargo = self.repository.cargo(&["build", "--quiet", "--locked", "--release"]);
        cargo.current_dir(directory).arg("--target-dir").arg(&target);
        process::run(&mut cargo)
            .await
            .or_hint("build the peer", "fix what the compiler reports")?;
        let mut command = self.program("hits");
        command.arg(target.join("release/identity-broker-peer"));
        Ok(command)
    }

    fn import(&self) -> Command {
        let python = self.python.interpreter();
        let mut command = self.program("process_time");
        command.args(["import", STARTS]);
        for (name, statement) in [
            ("bare", "pass"),
            ("ours", "import keybearer"),
            ("peer", "import azure.identity.broker"),
        ] {
            // All of them include the start of the interpreter.
            command.arg(name).arg(&python).args(["-c", statement]);
            if name != "peer" {
                command.arg("--");
            }
        }
        command
    }

    async fn token(&mut self) -> Result<Command> {
        let run = self.warm_broker(1).await?;
        let floor = compile_floor(&self.repository).await?;
        let mut command = self.program("process_time");
        command.args(["token", STARTS, "ours"]).arg(self.keybearer());
        command.args(["token", "--scope", "https://r0.example/.default", "--silent"]);
        command.args(["--", "peer"]).arg(floor).arg("@ECHO");
        command.env("XDG_RUNTIME_DIR", run).env("HOME", self.scratch.path());
        Ok(command)
    }

    fn broker_start(&self) -> Command {
        let mut command = self.program("broker_start");
        command.arg(self.keybearer()).args(["broker", "run"]);
        command
    }

    /// The program as it ships: its size adds to the time of a start and to resident memory.
    fn keybearer(&self) -> PathBuf {
        self.repository.binaries().with_file_name(SHIPPED).join("keybearer")
    }

    fn program(&self, name: &str) -> Command {
        process::command(programs(&self.repository).join(name))
    }
}

/// The profile of the root manifest that measured programs are built with.
const PROFILE: &str = "measure";

/// The profile of what ships.
const SHIPPED: &str = "release";

fn programs(repository: &Repository) -> PathBuf {
    repository.binaries().with_file_name(PROFILE)
}

/// Compiles the C program, into the directory of the measured programs.
async fn compile_floor(repository: &Repository) -> Result<PathBuf> {
    let program = programs(repository).join("floor");
    let mut compiler = process::command("cc");
    compiler.args(["-O2", "-Wall", "-o"]).arg(&program).arg(repository.path("benches/c/floor.c"));
    process::run(&mut compiler).await.or_hint("compile the C program", "install a C compiler")?;
    Ok(program)
}
