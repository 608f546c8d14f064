//! Rows `broker-start` and `broker-memory`: from starting the broker with 1,000 connected accounts
//! to its first answer, and its memory when idle after that.
//!
//! `broker_start PROGRAM [ARGUMENT]...`, such as `broker_start target/release/keybearer broker run`.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use keybearer_bench::{Figure, connect_accounts, median, report, resident_megabytes};
use keybearer_core::{AccountsRequest, Broker as _, CorrelationId};
use keybearer_dbus::client::BrokerProxy;
use keybearer_emulator::Home;
use keybearer_host::{Environment, Paths, UserFacts};
use tokio::time::sleep;

const ROUNDS: usize = 5;
const START_LIMIT: Duration = Duration::from_secs(10);
/// The pause between two attempts to connect.
const PAUSE: Duration = Duration::from_micros(500);
/// The time until the broker is idle.
const SETTLE: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> Result<()> {
    for (accounts, note) in [(1000, ""), (1, "with 1 account, ")] {
        let home = BrokerHome::with_accounts(accounts).await?;
        let (mut starts, mut memory) = (vec![], vec![]);
        for _ in 0..ROUNDS {
            let (start, resident) = home.start(accounts).await?;
            starts.push(start);
            memory.push(resident);
        }
        let show = |row, what, values: &[f64], unit| {
            let what = format!("{note}{what}");
            report(&Figure { row, what: &what, value: median(values), unit, n: ROUNDS });
        };
        show("broker-start", "ours", &starts, "ms");
        show("broker-memory", "ours", &memory, "MB");
    }
    Ok(())
}

/// A person's directories, with a broker's state in them.
struct BrokerHome {
    home: Home,
    paths: Paths,
}

impl BrokerHome {
    async fn with_accounts(count: usize) -> Result<Self> {
        let program = std::env::current_exe()?;
        let home = Home::new_in(program.parent().context("a program lies in a directory")?)?;
        let environment = Environment::from_pairs(home.variables());
        let paths = Paths::resolve(&environment, &UserFacts::default())?;
        connect_accounts(&paths, &environment, count).await?;
        Ok(Self { home, paths })
    }

    /// Milliseconds to the first answer, and resident megabytes when idle.
    async fn start(&self, accounts: usize) -> Result<(f64, f64)> {
        let start = Instant::now();
        let mut broker = Ended(self.command()?.spawn().context("could not start the broker")?);
        let proxy = loop {
            match BrokerProxy::connect_socket(&self.paths.socket, START_LIMIT).await {
                Ok(proxy) => break proxy,
                Err(error) if start.elapsed() > START_LIMIT => return Err(error.into()),
                Err(_) => sleep(PAUSE).await,
            }
            if let Some(status) = broker.0.try_wait()? {
                let words = std::fs::read_to_string(self.log()).unwrap_or_default();
                bail!("the broker ended with {status}: {words}");
            }
        };
        let request = AccountsRequest {
            client_id: None,
            correlation_id: CorrelationId::new("5a3ad5d1-0000-4000-8000-000000000001"),
            timeout: START_LIMIT,
        };
        let answer = proxy.accounts(request).await?;
        let elapsed = start.elapsed();
        ensure!(answer.len() == accounts, "{} accounts of {accounts}", answer.len());
        drop(proxy);
        sleep(SETTLE).await;
        Ok((elapsed.as_secs_f64() * 1000.0, resident_megabytes(broker.0.id())?))
    }

    fn command(&self) -> Result<Command> {
        let mut arguments = std::env::args_os().skip(1);
        let mut command = self.home.command(arguments.next().context("PROGRAM is needed")?);
        command.args(arguments).current_dir(self.home.at(""));
        command.stdout(Stdio::null()).stderr(File::create(self.log())?);
        Ok(command)
    }

    fn log(&self) -> PathBuf {
        self.home.at("broker.log")
    }
}

/// A process that is killed when this is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
