//! Row `durable-write`: committing one sealed record to the broker's store, and the floor: the same
//! bytes over the pages of a file, with `fdatasync`. In turns.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use keybearer_bench::{Figure, Samples, report};
use keybearer_engine::{Change, Record, RecordKey, SealedRecord, TokenStore as _};
use keybearer_host::FileStore;

const ROW: &str = "durable-write";
const ROUNDS: u8 = 200;
/// A refresh token of Entra and its predecessor, sealed.
const LENGTH: usize = 3000;
const KEY: &str = "refresh/login.windows.net/oid.tid/04b07795-8ddb-461a-bbee-02f9e1bf7b46";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    // Beside the target directory: /tmp may be in memory, where nothing is durable.
    let program = std::env::current_exe()?;
    let dir = tempfile::tempdir_in(program.parent().context("a program lies in a directory")?)?;
    let ours = FileStore::new(&dir.path().join("ours"));
    let mut floor = File::create_new(dir.path().join("floor"))?;
    floor.write_all(&[0; 64 * 1024])?;
    floor.sync_all()?;
    let (mut our_times, mut floor_times) = (Samples::default(), Samples::default());
    for round in 0..ROUNDS {
        // The value changes every time, because a write of the same bytes might be skipped.
        let value = vec![round; LENGTH];
        our_times.push(commit(&ours, value.clone()).await?);
        floor_times.push(overwrite(&mut floor, &value)?);
    }
    let show = |what, value| {
        report(&Figure { row: ROW, what, value, unit: "µs", n: ROUNDS.into() });
    };
    show("ours", our_times.quantile_micros(0.5));
    show("peer", floor_times.quantile_micros(0.5));
    show("ours, fastest", our_times.quantile_micros(0.0));
    show("peer, fastest", floor_times.quantile_micros(0.0));
    Ok(())
}

async fn commit(store: &FileStore, value: Vec<u8>) -> Result<Duration> {
    let record = Record { key: RecordKey(KEY.to_owned()), value: SealedRecord(value) };
    let start = Instant::now();
    store.commit(vec![Change::Put(record)]).await?;
    Ok(start.elapsed())
}

fn overwrite(file: &mut File, value: &[u8]) -> Result<Duration> {
    let start = Instant::now();
    file.seek(SeekFrom::Start(0))?;
    file.write_all(value)?;
    file.sync_data()?;
    Ok(start.elapsed())
}
