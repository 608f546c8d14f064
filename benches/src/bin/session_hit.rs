//! A remark to the rows `hits-*`: the broker's cost of a hit apart from D-Bus, which is to read the
//! request, look up the token and write the reply.

use std::sync::Arc;

use anyhow::{Result, ensure};
use keybearer_bench::{Figure, filled_engine, median, report, silent_request, thread_time};
use keybearer_core::CallerId;
use keybearer_dbus::message::{AcquireTokenSilently, Method as _};
use keybearer_dbus::server::Session;

const ROUNDS: usize = 9;
const CALLS: u32 = 20_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let engine = Arc::new(filled_engine(1, 1).await?);
    let session = Session::new(engine, CallerId::new("bench"), None);
    let request = AcquireTokenSilently::encode_request(&silent_request(0)?);
    let id = "5a3ad5d1-0000-4000-8000-000000000001";
    let reply = session.acquire_token_silently(id, &request).await;
    ensure!(reply.contains("accessToken"), "the broker has no token: {reply}");
    let mut rounds = vec![];
    for _ in 0..ROUNDS {
        let start = thread_time();
        for _ in 0..CALLS {
            std::hint::black_box(session.acquire_token_silently(id, &request).await);
        }
        rounds.push((thread_time() - start).as_secs_f64() * 1e6 / f64::from(CALLS));
    }
    let what = "ours, processor time for one without D-Bus";
    let value = median(&rounds);
    report(&Figure { row: "hits-socket", what, value, unit: "µs", n: ROUNDS });
    Ok(())
}
