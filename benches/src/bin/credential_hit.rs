//! Rows `rust-hit` and `rust-hit-threads`: `get_token` of the Rust credential when its cache has the
//! token, on one thread and on eight at once.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use azure_core::credentials::TokenCredential;
use keybearer::InteractiveBrowserBrokerCredential;
use keybearer_bench::{Figure, FixedBroker, median, report, thread_time};
use tokio::runtime::Builder;

const ROW: &str = "rust-hit";
const THREADS_ROW: &str = "rust-hit-threads";
const SCOPES: [&str; 1] = ["https://storage.azure.com/.default"];
const ROUNDS: usize = 9;
const CALLS: u32 = 200_000;
const THREADS: u32 = 8;

fn main() -> Result<()> {
    let credential = InteractiveBrowserBrokerCredential::with_broker(Arc::new(FixedBroker), None)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(credential.get_token(&SCOPES, None))?;
    let (mut alone, mut alone_cpu, mut together, mut together_cpu) =
        (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let one = run(&credential, 1)?;
        let eight = run(&credential, THREADS)?;
        alone.push(one.wall);
        alone_cpu.push(one.cpu);
        together.push(eight.wall);
        together_cpu.push(eight.cpu);
    }
    let show = |what, value, unit| report(&Figure { row: ROW, what, value, unit, n: ROUNDS });
    let (one, eight) = (median(&alone), median(&together));
    // A hit does not wait, so its processor time is its cost without the load of other programs.
    show("ours", median(&alone_cpu), "ns");
    show("wall time", one, "ns");
    show("fastest round, wall time", alone.iter().copied().fold(f64::INFINITY, f64::min), "ns");
    let show = |what, value, unit| {
        report(&Figure { row: THREADS_ROW, what, value, unit, n: ROUNDS });
    };
    show("ours", 1e9 / eight, "/s");
    show("peer", 1e9 / one, "/s");
    show(
        "processor time of a call over that on 1 thread",
        median(&together_cpu) / median(&alone_cpu),
        "ratio",
    );
    Ok(())
}

/// The nanoseconds of a call.
struct Cost {
    wall: f64,
    cpu: f64,
}

fn run(credential: &Arc<InteractiveBrowserBrokerCredential>, threads: u32) -> Result<Cost> {
    let gate = Barrier::new(threads as usize + 1);
    thread::scope(|scope| {
        let work = || -> Result<Duration> {
            let runtime = Builder::new_current_thread().build()?;
            gate.wait();
            let start = thread_time();
            runtime.block_on(async {
                for _ in 0..CALLS {
                    std::hint::black_box(credential.get_token(&SCOPES, None).await?);
                }
                azure_core::Result::Ok(())
            })?;
            Ok(thread_time().saturating_sub(start))
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        gate.wait();
        let start = Instant::now();
        let mut cpu = Duration::ZERO;
        for worker in workers {
            cpu += worker.join().map_err(|_| anyhow!("a thread failed"))??;
        }
        let calls = f64::from(threads) * f64::from(CALLS);
        let each = |time: Duration| time.as_secs_f64() * 1e9 / calls;
        Ok(Cost { wall: each(start.elapsed()), cpu: each(cpu) })
    })
}
