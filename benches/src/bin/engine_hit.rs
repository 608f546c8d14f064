//! Row `many-tokens`: a silent hit in the engine with 100,000 cached tokens and with 10.

use anyhow::Result;
use keybearer_bench::{
    Figure, filled_engine, median, report, resident_megabytes, silent_request, thread_time,
};
use keybearer_core::{Broker as _, SilentRequest};
use keybearer_engine::Engine;

const ROW: &str = "many-tokens";
const ROUNDS: usize = 21;
const CALLS: u32 = 20_000;
const MANY: usize = 100_000;
const FEW: usize = 10;
/// Far apart in a table of 100,000, so that a walk with this stride is as good as random.
const STRIDE: usize = 61_813;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let few = Walk::new(FEW, FEW).await?;
    let before = resident_megabytes(std::process::id())?;
    let many = Walk::new(MANY, FEW).await?;
    let held = resident_megabytes(std::process::id())? - before;
    let everywhere = Walk { engine: many.engine.clone(), requests: spread()? };
    let (mut with_few, mut with_many, mut with_all) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        with_few.push(few.nanos().await?);
        with_many.push(many.nanos().await?);
        with_all.push(everywhere.nanos().await?);
    }
    let show = |what, values: &[f64]| {
        report(&Figure { row: ROW, what, value: median(values), unit: "ns", n: ROUNDS });
    };
    show("ours", &with_many);
    show("peer", &with_few);
    let what = "memory that the 100,000 tokens, of 1,800 bytes each, take";
    report(&Figure { row: ROW, what, value: held, unit: "MB", n: 1 });
    show("each of the 100,000 in turn, so that nothing is in the processor's caches", &with_all);
    Ok(())
}

/// An engine and the requests it gets, in turn.
struct Walk {
    engine: Engine,
    requests: Vec<SilentRequest>,
}

impl Walk {
    /// An engine with so many tokens, asked for the first few.
    async fn new(tokens: usize, asked: usize) -> Result<Self> {
        let requests = (0..asked).map(silent_request).collect::<Result<_>>()?;
        Ok(Self { engine: filled_engine(1, tokens).await?, requests })
    }

    async fn nanos(&self) -> Result<f64> {
        // A hit waits for nothing: this is its cost without other programs' load.
        let start = thread_time();
        for request in self.requests.iter().cycle().take(CALLS as usize) {
            std::hint::black_box(self.engine.acquire_silent(request.clone()).await?);
        }
        Ok((thread_time() - start).as_secs_f64() * 1e9 / f64::from(CALLS))
    }
}

fn spread() -> Result<Vec<SilentRequest>> {
    (0..CALLS as usize).map(|step| silent_request(step * STRIDE % MANY)).collect()
}
