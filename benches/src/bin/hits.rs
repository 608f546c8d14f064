//! Rows `hits-socket` and `hits-bus`: silent hits of the broker beside a zbus service that returns a
//! constant string of the same length, each in a separate process, measured in turns.
//!
//! `hits PROGRAM` is the row `hits-bus-peer`: beside another broker, a program that answers on the
//! session bus with a constant string of the length it is given.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use keybearer_bench::{
    Channel, Figure, Hits, PrivateBus, Samples, Server, median, report, silent_request,
};
use keybearer_dbus::message::{AcquireTokenSilently, Method as _};

const ROUNDS: usize = 9;
const TASKS: usize = 8;
const LENGTH: Duration = Duration::from_millis(400);
const ONE_BY_ONE: usize = 1500;
const CONSTANT_NAME: &str = "com.example.Constant";

#[tokio::main]
async fn main() -> Result<()> {
    if let Some(program) = std::env::args_os().nth(1) {
        return beside_another_broker(Path::new(&program)).await;
    }
    let dir = tempfile::tempdir()?;
    let bus = PrivateBus::start()?;
    let socket = |name: &str| Channel::Socket(dir.path().join(name));
    let on_bus = || Channel::Bus(bus.address().to_owned());
    compare("hits-socket", [socket("broker.sock"), socket("constant.sock")]).await?;
    compare("hits-bus", [on_bus(), on_bus()]).await
}

/// A service in a separate process, its client, and the measurements.
struct Subject {
    server: Server,
    hits: Hits,
    rates: Vec<f64>,
    costs: Vec<f64>,
    latencies: Vec<Samples>,
}

impl Subject {
    async fn start(service: &str, channel: &Channel, destination: &str) -> Result<Self> {
        let own = std::env::current_exe()?;
        let program = own.parent().context("a program lies in a directory")?.join("hit_server");
        let [way, place] = channel.arguments();
        let mut command = Command::new(program);
        command.args([service.to_owned(), way, place]);
        Self::of(command, channel, destination).await
    }

    async fn of(command: Command, channel: &Channel, destination: &str) -> Result<Self> {
        let server = Server::start(command)?;
        let request =
            AcquireTokenSilently::encode_request(&silent_request(0)?, std::time::Instant::now());
        let hits = Hits::connect(channel, destination, &request).await?;
        let (rates, costs, latencies) = Default::default();
        Ok(Self { server, hits, rates, costs, latencies })
    }

    async fn reply_length(&self) -> Result<usize> {
        let reply = self.hits.once().await?;
        ensure!(reply.contains("accessToken"), "the broker has no token: {reply}");
        Ok(reply.len())
    }

    async fn measure(&mut self) -> Result<()> {
        let before = self.server.processor_time()?;
        let rate = self.hits.rate(TASKS, LENGTH).await?;
        let used = self.server.processor_time()?.saturating_sub(before);
        self.costs.push(used.as_secs_f64() * 1e6 / (rate * LENGTH.as_secs_f64()));
        self.rates.push(rate);
        self.latencies.push(self.hits.one_by_one(ONE_BY_ONE).await?);
        Ok(())
    }

    fn latency(&self, share: f64) -> f64 {
        let of_rounds = self.latencies.iter().map(|samples| samples.quantile_micros(share));
        median(&of_rounds.collect::<Vec<_>>())
    }
}

async fn compare(row: &str, [ours, peer]: [Channel; 2]) -> Result<()> {
    let ours = Subject::start("broker", &ours, Hits::broker_name()).await?;
    let constant = format!("constant:{}", ours.reply_length().await?);
    let peer = Subject::start(&constant, &peer, CONSTANT_NAME)
        .await
        .context("could not start the constant service")?;
    in_turns(row, ours, peer).await
}

/// Both need the same name, so each has a private bus.
async fn beside_another_broker(program: &Path) -> Result<()> {
    let (our_bus, their_bus) = (PrivateBus::start()?, PrivateBus::start()?);
    let on = |bus: &PrivateBus| Channel::Bus(bus.address().to_owned());
    let ours = Subject::start("broker", &on(&our_bus), Hits::broker_name()).await?;
    let mut command = Command::new(program);
    command.arg(ours.reply_length().await?.to_string());
    command.env("DBUS_SESSION_BUS_ADDRESS", their_bus.address());
    let peer = Subject::of(command, &on(&their_bus), Hits::broker_name())
        .await
        .context("could not start the other broker")?;
    in_turns("hits-bus-peer", ours, peer).await
}

async fn in_turns(row: &str, mut ours: Subject, mut peer: Subject) -> Result<()> {
    for _ in 0..ROUNDS {
        ours.measure().await?;
        peer.measure().await?;
    }
    for (name, subject) in [("ours", &ours), ("peer", &peer)] {
        let show = |what: &str, value, unit| {
            let what = format!("{name}{what}");
            report(&Figure { row, what: &what, value, unit, n: ROUNDS });
        };
        show("", median(&subject.rates), "/s");
        show(", server's processor time for one", median(&subject.costs), "µs");
        show(", one at a time, p50", subject.latency(0.5), "µs");
        show(", one at a time, p99", subject.latency(0.99), "µs");
    }
    #[expect(clippy::cast_precision_loss, reason = "a length in bytes")]
    let length = ours.reply_length().await? as f64;
    report(&Figure { row, what: "bytes in a reply", value: length, unit: "B", n: 1 });
    Ok(())
}
