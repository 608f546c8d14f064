use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use keybearer_dbus::interface::{BUS_NAME, INTERFACE, OBJECT_PATH, PROTOCOL_VERSION};
use tokio::net::UnixStream;
use tokio::time::sleep;
use zbus::{Connection, connection};

use crate::Samples;

/// The connection to a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Channel {
    /// Peer to peer over this socket.
    Socket(PathBuf),
    /// Over the bus at this address.
    Bus(String),
}

impl Channel {
    /// The arguments for the server program.
    #[must_use]
    pub fn arguments(&self) -> [String; 2] {
        match self {
            Self::Socket(path) => ["--socket".to_owned(), path.display().to_string()],
            Self::Bus(address) => ["--bus".to_owned(), address.clone()],
        }
    }

    async fn connect(&self) -> Result<Connection> {
        Ok(match self {
            Self::Socket(path) => {
                let stream = UnixStream::connect(path).await?.into_std()?;
                connection::Builder::unix_stream(stream).p2p().build().await?
            }
            Self::Bus(address) => connection::Builder::address(address.as_str()).build().await?,
        })
    }
}

/// A server process; dropping the value ends it.
#[derive(Debug)]
pub struct Server(Child);

impl Server {
    /// Starts the server.
    ///
    /// # Errors
    /// If the server does not start.
    pub fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(Self(command.spawn().with_context(|| format!("could not start {command:?}"))?))
    }

    /// The processor time it has used so far.
    ///
    /// # Errors
    /// If it has ended.
    pub fn processor_time(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: u64 =
            fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A client that requests tokens of one service repeatedly, over one connection.
#[derive(Clone, Debug)]
pub struct Hits {
    connection: Connection,
    destination: Option<String>,
    request: String,
}

impl Hits {
    /// Connects as soon as a service answers.
    ///
    /// # Errors
    /// If no service answers within ten seconds.
    pub async fn connect(channel: &Channel, destination: &str, request: &str) -> Result<Self> {
        let on_bus = matches!(channel, Channel::Bus(_));
        let destination = on_bus.then(|| destination.to_owned());
        for _ in 0..1000 {
            if let Ok(connection) = channel.connect().await {
                let hits = Self {
                    connection,
                    destination: destination.clone(),
                    request: request.to_owned(),
                };
                if hits.once().await.is_ok() {
                    return Ok(hits);
                }
            }
            sleep(Duration::from_millis(10)).await;
        }
        bail!("no service answered on {channel:?}")
    }

    /// Sends one request.
    ///
    /// # Errors
    /// If the service is gone.
    pub async fn once(&self) -> Result<String> {
        let body = (PROTOCOL_VERSION, "5a3ad5d1-0000-4000-8000-000000000001", &*self.request);
        let reply = self
            .connection
            .call_method(
                self.destination.as_deref(),
                OBJECT_PATH,
                Some(INTERFACE),
                "acquireTokenSilently",
                &body,
            )
            .await?;
        Ok(reply.body().deserialize()?)
    }

    /// Sends requests from this number of tasks for this long; returns the answers a second.
    ///
    /// # Errors
    /// If the service is gone.
    pub async fn rate(&self, tasks: usize, length: Duration) -> Result<f64> {
        let start = Instant::now();
        let ask = |hits: Self| async move {
            let mut count = 0_u32;
            while start.elapsed() < length {
                hits.once().await?;
                count += 1;
            }
            Ok::<_, anyhow::Error>(count)
        };
        let tasks: Vec<_> = (0..tasks).map(|_| tokio::spawn(ask(self.clone()))).collect();
        let mut total = 0;
        for task in tasks {
            total += task.await??;
        }
        Ok(f64::from(total) / start.elapsed().as_secs_f64())
    }

    /// Sends one request after the other.
    ///
    /// # Errors
    /// If the service is gone.
    pub async fn one_by_one(&self, count: usize) -> Result<Samples> {
        let mut samples = Samples::default();
        for _ in 0..count {
            let start = Instant::now();
            self.once().await?;
            samples.push(start.elapsed());
        }
        Ok(samples)
    }

    /// The broker's name on a bus.
    #[must_use]
    pub const fn broker_name() -> &'static str {
        BUS_NAME
    }
}
