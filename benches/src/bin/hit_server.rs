//! The two services of the row `hits`: a broker with one cached token, and one that returns a
//! constant string. `hit_server broker|broker:ACCOUNTS|constant:LENGTH --socket PATH|--bus ADDRESS`.

use std::os::unix::fs::DirBuilderExt as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use keybearer_bench::{Channel, filled_engine};
use keybearer_core::Broker;
use keybearer_dbus::interface::OBJECT_PATH;
use keybearer_dbus::server::{BusOutcome, serve_bus, serve_socket};
use tokio::net::UnixListener;
use zbus::{Guid, connection, interface};

/// The bus name of the constant service.
const CONSTANT_NAME: &str = "com.example.Constant";

// As many workers as the broker's own process has.
#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [service, way, place] = arguments.as_slice() else { bail!("three arguments are needed") };
    let channel = match way.as_str() {
        "--socket" => Channel::Socket(place.into()),
        "--bus" => Channel::Bus(place.clone()),
        _ => bail!("--socket or --bus, not {way}"),
    };
    match service.split_once(':') {
        Some(("constant", length)) => constant(&channel, length.parse()?).await,
        Some(("broker", accounts)) => broker(&channel, accounts.parse()?).await,
        _ => broker(&channel, 1).await,
    }
}

async fn broker(channel: &Channel, accounts: usize) -> Result<()> {
    let engine: Arc<dyn Broker> = Arc::new(filled_engine(accounts, 1).await?);
    match channel {
        Channel::Bus(address) => match serve_bus(address, engine, Duration::from_secs(5)).await? {
            BusOutcome::Serving(service) => service.closed().await,
            BusOutcome::Taken(owner) => {
                bail!("another program owns the name: {}", owner.unique_name)
            }
        },
        Channel::Socket(path) => {
            // Clients trust a socket only in a directory that other users cannot enter.
            let dir = path.parent().context("a socket lies in a directory")?;
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
            let listener = UnixListener::bind(path)?;
            for number in 1.. {
                let (stream, _) = listener.accept().await?;
                tokio::spawn(serve_socket(stream, Arc::clone(&engine), number));
            }
        }
    }
    Ok(())
}

struct Constant(String);

#[interface(name = "com.microsoft.identity.Broker1")]
impl Constant {
    #[zbus(name = "acquireTokenSilently")]
    async fn acquire_token_silently(
        &self,
        _protocol_version: &str,
        _correlation_id: &str,
        _request_json: &str,
    ) -> String {
        self.0.clone()
    }
}

async fn constant(channel: &Channel, length: usize) -> Result<()> {
    let reply = move || Constant("x".repeat(length));
    match channel {
        Channel::Bus(address) => {
            let builder = connection::Builder::address(address.as_str());
            let builder = builder.serve_at(OBJECT_PATH, reply()).name(CONSTANT_NAME);
            builder.build().await.context("could not serve on the bus")?.closed().await;
        }
        Channel::Socket(path) => {
            let listener = UnixListener::bind(path)?;
            loop {
                let stream = listener.accept().await?.0.into_std()?;
                tokio::spawn(async move {
                    let builder = connection::Builder::unix_stream(stream);
                    let builder = builder.server(Guid::generate()).p2p();
                    if let Ok(connection) = builder.serve_at(OBJECT_PATH, reply()).build().await {
                        connection.closed().await;
                    }
                });
            }
        }
    }
    Ok(())
}
