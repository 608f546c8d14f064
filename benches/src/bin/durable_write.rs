//! Row `durable-write`: committing one sealed record to the broker's store, and the same bytes to a
//! plain redb database beside it, in turns.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use keybearer_bench::{Figure, Samples, report};
use keybearer_engine::{Change, Record, RecordKey, SealedRecord, TokenStore as _};
use keybearer_host::FileStore;
use redb::{Database, TableDefinition};

const ROW: &str = "durable-write";
const ROUNDS: u8 = 200;
/// A refresh token of Entra and its predecessor, sealed.
const LENGTH: usize = 3000;
const KEY: &str = "refresh/login.windows.net/oid.tid/04b07795-8ddb-461a-bbee-02f9e1bf7b46";
const TABLE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    // Beside the target directory: /tmp may be in memory, where nothing is durable.
    let program = std::env::current_exe()?;
    let dir = tempfile::tempdir_in(program.parent().context("a program lies in a directory")?)?;
    let ours = FileStore::new(&dir.path().join("ours"));
    let peer = Database::create(dir.path().join("peer.redb"))?;
    let (mut our_times, mut peer_times) = (Samples::default(), Samples::default());
    for round in 0..ROUNDS {
        // The value changes every time, because a write of the same bytes might be skipped.
        let value = vec![round; LENGTH];
        our_times.push(commit(&ours, value.clone()).await?);
        peer_times.push(write(&peer, &value)?);
    }
    let show = |what, value| {
        report(&Figure { row: ROW, what, value, unit: "µs", n: ROUNDS.into() });
    };
    show("ours", our_times.quantile_micros(0.5));
    show("peer", peer_times.quantile_micros(0.5));
    show("ours, fastest", our_times.quantile_micros(0.0));
    show("peer, fastest", peer_times.quantile_micros(0.0));
    Ok(())
}

async fn commit(store: &FileStore, value: Vec<u8>) -> Result<Duration> {
    let record = Record { key: RecordKey(KEY.to_owned()), value: SealedRecord(value) };
    let start = Instant::now();
    store.commit(vec![Change::Put(record)]).await?;
    Ok(start.elapsed())
}

fn write(database: &Database, value: &[u8]) -> Result<Duration> {
    let start = Instant::now();
    let transaction = database.begin_write()?;
    transaction.open_table(TABLE)?.insert(KEY, value)?;
    transaction.commit()?;
    Ok(start.elapsed())
}
