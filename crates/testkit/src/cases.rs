//! Case directories: `<dir>/<flow>/<name>/{case.toml,http.json,store.json}`, found in the file system.
//!
//! A case is one request to a new engine. `case.toml` has a sentence about the case, the request, the
//! behaviour of the person and the expected outcome. `store.json` lists the accounts that are connected
//! before, and `http.json` the failures of the network and the provider; both are optional. After every
//! case, all of its output is searched for its secrets (I5).
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot continue fails at once"
)]

mod expectation;
mod files;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use keybearer_core::{Broker, InteractiveRequest, Result, SilentRequest, Token};
use keybearer_engine::Engine;
use tokio::time::Instant;

use self::files::{Case, Kind, Prior};
use crate::engine_harness::EngineHarness;
use crate::provider::User;

/// The outcome of a case.
struct Outcome {
    result: Result<Token>,
    took: Duration,
    engine: Engine,
}

/// Runs every case below `directory`, each in its own simulated time.
///
/// # Panics
/// If there is no case, or if one fails; the message names all that failed.
pub fn run_all(directory: &Path) {
    let cases = find(directory);
    assert!(!cases.is_empty(), "no case below {}", directory.display());
    let mut failed = Vec::new();
    for path in &cases {
        let name = path.strip_prefix(directory).unwrap_or(path).display().to_string();
        if catch_unwind(AssertUnwindSafe(|| run(path))).is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{} of {} cases failed: {failed:#?}", failed.len(), cases.len());
}

/// Every directory with a `case.toml`, sorted.
fn find(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(directory).expect("the directory of the cases");
    for entry in entries {
        let path = entry.unwrap().path();
        if path.join("case.toml").is_file() {
            found.push(path);
        } else if path.is_dir() {
            found.extend(find(&path));
        }
    }
    found.sort();
    found
}

fn run(path: &Path) {
    let case = Case::read(path);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(async {
        let mut world = EngineHarness::default();
        world.settings = case.request.settings();
        let engine = prepare(&mut world, &case).await;
        let outcome = ask(&case, engine).await;
        world.check_result(&outcome.result);
        expectation::check(&case, &mut world, outcome).await;
    });
}

/// Brings the engine into the state before the request, as the files describe it.
async fn prepare(world: &mut EngineHarness, case: &Case) -> Engine {
    let mut engine = world.engine().await;
    for prior in &case.store {
        connect(world, &engine, prior).await;
    }
    if !case.store.iter().any(|prior| prior.cached) {
        engine = world.restart().await;
    }
    world.clock.set_wrong_by(case.clock.wrong_by);
    world.clock.suspend(Duration::from_secs(case.clock.suspended));
    world.clock.advance(Duration::from_secs(case.clock.passed)).await;
    case.person.instruct(&world.person);
    for rule in &case.http {
        world.http.rule(rule.rule());
    }
    engine
}

async fn connect(world: &EngineHarness, engine: &Engine, prior: &Prior) {
    let user = User::named(&prior.user).expect("a user of the provider");
    world.connect(engine, user).await;
    world.clock.advance(Duration::from_secs(1)).await;
    if prior.revoked {
        world.provider.revoke(user);
    }
    if prior.damaged {
        world.store.damage(&format!("refresh/login.windows.net/{}", user.home_account_id()));
    }
}

async fn ask(case: &Case, engine: Engine) -> Outcome {
    let started = Instant::now();
    let result = match case.request.parameters() {
        Err(error) => Err(error),
        Ok(parameters) => match case.request.kind {
            Kind::Silent => engine.acquire_silent(SilentRequest { parameters }).await,
            Kind::Interactive => {
                let prompt = case.request.prompt();
                engine.acquire_interactive(InteractiveRequest::new(parameters, prompt)).await
            }
        },
    };
    Outcome { result, took: started.elapsed(), engine }
}
