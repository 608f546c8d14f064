//! Row `many-tokens`: a silent hit in the engine with 100,000 cached tokens and with 10. Row
//! `many-accounts`: one with 1,000 connected accounts and with one.

use anyhow::Result;
use keybearer_bench::{
    Figure, filled_engine, median, report, resident_megabytes, silent_request, thread_time,
};
use keybearer_core::{AccountChoice, Broker as _, HomeAccountId, SilentRequest};
use keybearer_engine::Engine;
use keybearer_testkit::provider::DEV;

const TOKENS: &str = "many-tokens";
const ACCOUNTS: &str = "many-accounts";
const ROUNDS: usize = 21;
const CALLS: u32 = 20_000;
const MANY: usize = 100_000;
const FEW: usize = 10;
/// Far apart in a table of 100,000, so that a walk with this stride is as good as random.
const STRIDE: usize = 61_813;

const PEOPLE: usize = 1000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    many_tokens().await?;
    many_accounts().await
}

async fn many_tokens() -> Result<()> {
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
    show(TOKENS, "ours", &with_many);
    show(TOKENS, "peer", &with_few);
    let what = "memory that the 100,000 tokens, of 1,800 bytes each, take";
    report(&Figure { row: TOKENS, what, value: held, unit: "MB", n: 1 });
    show(
        TOKENS,
        "each of the 100,000 in turn, so that nothing is in the processor's caches",
        &with_all,
    );
    Ok(())
}

async fn many_accounts() -> Result<()> {
    let (one, many) = (filled_engine(1, 1).await?, filled_engine(PEOPLE, 1).await?);
    let asks = |engine: &Engine, account| -> Result<Walk> {
        let mut request = silent_request(0)?;
        request.parameters.account = account;
        Ok(Walk { engine: engine.clone(), requests: vec![request] })
    };
    let exact = AccountChoice::Exact(HomeAccountId::from_parts(DEV.oid, DEV.home)?);
    let by_name = asks(&many, AccountChoice::LoginHint(DEV.username.to_owned()))?;
    let (one, many) = (asks(&one, exact.clone())?, asks(&many, exact)?);
    let (mut with_one, mut with_many, mut named) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        with_one.push(one.nanos().await?);
        with_many.push(many.nanos().await?);
        named.push(by_name.nanos().await?);
    }
    show(ACCOUNTS, "ours", &with_many);
    show(ACCOUNTS, "peer", &with_one);
    show(ACCOUNTS, "for an account by its name, which several may have", &named);
    Ok(())
}

fn show(row: &'static str, what: &'static str, values: &[f64]) {
    report(&Figure { row, what, value: median(values), unit: "ns", n: ROUNDS });
}

/// An engine, and the requests that it gets in turn.
struct Walk {
    engine: Engine,
    requests: Vec<SilentRequest>,
}

impl Walk {
    /// An engine with so many tokens, and requests for the first few.
    async fn new(tokens: usize, asked: usize) -> Result<Self> {
        let requests = (0..asked).map(silent_request).collect::<Result<_>>()?;
        Ok(Self { engine: filled_engine(1, tokens).await?, requests })
    }

    async fn nanos(&self) -> Result<f64> {
        // A hit does not wait, so its processor time is its cost without the load of other programs.
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
