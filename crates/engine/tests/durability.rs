//! Tests of what is durable, and when: rotation, commits that fail or stall, crashes at any moment
//! (invariants I3 and I4).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::Duration;

use futures_util::future::join_all;
use keybearer_core::{Broker, ErrorKind, Result, SilentRequest, Token, TokenParameters};
use keybearer_engine::{Change, Engine};
use keybearer_testkit::effects::{Action, CommitFate, Gate, Rule, SeededRandom};
use keybearer_testkit::engine_harness::{
    EngineHarness, MANAGEMENT, STORAGE, exactly, interactive, remove, silent, usernames,
};
use keybearer_testkit::provider::{DEV, OPS};

fn kind<T>(result: &Result<T>) -> &ErrorKind {
    result.as_ref().map(|_| ()).expect_err("an error").kind()
}

fn spawn(engine: &Engine, request: SilentRequest) -> tokio::task::JoinHandle<Result<Token>> {
    let engine = engine.clone();
    tokio::spawn(async move { engine.acquire_silent(request).await })
}

/// Redeems the refresh token `times` times, for a different resource each time.
async fn refresh(engine: &Engine, times: usize) {
    for index in 0..times {
        let scope = format!("https://resource-{index}.example/.default");
        engine.acquire_silent(silent(&scope)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_new_refresh_token_is_durable_before_the_access_token_is_handed_out_inv_i3() {
    let mut world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let gate = Gate::default();
    world.store.next_commit(CommitFate::StallsBefore(gate.clone()));
    let call = spawn(&engine, silent(STORAGE));
    gate.reached(1).await;
    world.clock.advance(Duration::from_secs(10)).await;
    assert!(!call.is_finished());
    gate.open();
    call.await.unwrap().unwrap();
    let engine = world.restart().await;
    refresh(&engine, 3).await;
    assert_eq!(world.provider.reuses(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_is_not_durable_yet_is_not_used_inv_i3() {
    let mut world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let gate = Gate::default();
    world.store.next_commit(CommitFate::StallsBefore(gate.clone()));
    let stalled = spawn(&engine, silent(STORAGE));
    gate.reached(1).await;
    let other = spawn(&engine, silent(MANAGEMENT));
    world.clock.advance(Duration::from_secs(1)).await;
    // A power cut: neither commit was durable.
    let engine = world.restart().await;
    refresh(&engine, 3).await;
    assert_eq!(world.provider.reuses(), 0);
    drop((stalled, other));
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_fails_is_a_clear_error_and_loses_nothing_inv_i3() {
    let mut world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    world.store.next_commit(CommitFate::Fails);
    let result = engine.acquire_silent(silent(STORAGE)).await;
    assert_eq!(kind(&result), &ErrorKind::Internal);
    let error = result.as_ref().unwrap_err();
    assert!(error.to_string().contains("no space left") && error.hint().is_some());
    world.check_result(&result);
    refresh(&engine, 2).await;
    let engine = world.restart().await;
    refresh(&engine, 2).await;
    assert_eq!(world.provider.reuses(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_stays_full_costs_no_session_inv_i3() {
    let mut world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    for _ in 0..5 {
        world.store.next_commit(CommitFate::Fails);
        engine.acquire_silent(silent(STORAGE)).await.unwrap_err();
    }
    let engine = world.restart().await;
    refresh(&engine, 2).await;
    assert_eq!(world.provider.reuses(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_is_asked_for_again_with_the_same_token() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    world.http.rule(Rule::tokens(Action::AnswerLost).times(1));
    engine.acquire_silent(silent(STORAGE)).await.unwrap();
    assert_eq!(world.http.token_requests(), 2);
    refresh(&engine, 3).await;
    assert_eq!(world.provider.reuses(), 0);
}

#[tokio::test(start_paused = true)]
async fn overlapping_refreshes_in_any_order_never_trigger_re_use_detection() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let random = SeededRandom::new(5);
    for round in 0..100 {
        let gates: Vec<Gate> = (0..4).map(|_| Gate::default()).collect();
        for (index, gate) in gates.iter().enumerate() {
            let hold = match random.below(2) {
                0 => Action::HoldRequest(gate.clone()),
                _ => Action::HoldAnswer(gate.clone()),
            };
            let scope = format!("https://r{round}-{index}.example/.default");
            world.http.rule(Rule::tokens(hold).scope(&scope));
        }
        let mut calls = Vec::new();
        for index in 0..gates.len() {
            calls.push(spawn(
                &engine,
                silent(&format!("https://r{round}-{index}.example/.default")),
            ));
            world.clock.advance(Duration::from_millis(random.below(3))).await;
            gates[usize::try_from(random.below(4)).unwrap()].open();
        }
        gates.iter().for_each(Gate::open);
        for result in join_all(calls).await {
            result.unwrap().unwrap();
        }
        world.http.clear_rules();
    }
    assert_eq!(world.provider.reuses(), 0);
}

/// Makes something go wrong around one refresh, at random. Returns the gate that ends it.
fn misfortune(world: &EngineHarness, random: &SeededRandom) -> Option<Gate> {
    let gate = Gate::default();
    match random.below(10) {
        0 => world.http.rule(Rule::tokens(Action::Cut).times(1)),
        1 => world.http.rule(Rule::tokens(Action::AnswerLost).times(1)),
        2 => world.http.rule(Rule::tokens(Action::AnswerLost).times(2)),
        3 => world.store.next_commit(CommitFate::Fails),
        4 => world.store.next_commit(CommitFate::StallsBefore(gate.clone())),
        5 => world.store.next_commit(CommitFate::StallsAfter(gate.clone())),
        6 => world.http.rule(Rule::tokens(Action::HoldRequest(gate.clone())).times(1)),
        7 => world.http.rule(Rule::tokens(Action::HoldAnswer(gate.clone())).times(1)),
        _ => return None,
    }
    Some(gate)
}

/// Runs a few refreshes with random failures, one after the other or at the same time, and perhaps
/// crashes in between. Returns the number of refreshes, and the engine to continue with.
async fn stormy_round(
    world: &mut EngineHarness,
    random: &SeededRandom,
    engine: Engine,
) -> (usize, Engine) {
    let (mut gates, mut calls) = (Vec::new(), Vec::new());
    for _ in 0..=random.below(5) {
        gates.extend(misfortune(world, random));
        calls.push(spawn(&engine, silent(&random.text("https://resource-"))));
        world.clock.advance(Duration::from_millis(random.below(3))).await;
        if random.below(4) == 0 {
            gates.iter().for_each(Gate::open);
        }
    }
    let engine = if random.below(2) == 0 { world.restart().await } else { engine };
    gates.iter().for_each(Gate::open);
    let refreshes = calls.len();
    join_all(calls).await;
    world.http.clear_rules();
    (refreshes, engine)
}

#[tokio::test(start_paused = true)]
async fn two_thousand_refreshes_with_crashes_at_random_moments_lose_no_session_inv_i3() {
    for seed in 1..=4 {
        let mut world = EngineHarness::new(seed);
        let random = SeededRandom::new(1000 + seed);
        let mut engine = world.connected(DEV).await;
        let mut refreshes = 0;
        while refreshes < 500 {
            let (more, next) = stormy_round(&mut world, &random, engine).await;
            (refreshes, engine) = (refreshes + more, next);
            let check = engine.acquire_silent(silent(&random.text("https://resource-"))).await;
            let lost = check
                .is_err_and(|error| matches!(error.kind(), ErrorKind::InteractionRequired { .. }));
            assert!(!lost, "seed {seed}: the session was lost after {refreshes} refreshes");
            assert_eq!(world.provider.reuses(), 0, "seed {seed}: after {refreshes} refreshes");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_in_mid_sign_in_leaves_the_other_accounts_alone_inv_i3() {
    for fate in 0..2 {
        let mut world = EngineHarness::default();
        let engine = world.connected(OPS).await;
        let gate = Gate::default();
        world.store.next_commit(match fate {
            0 => CommitFate::StallsBefore(gate.clone()),
            _ => CommitFate::StallsAfter(gate.clone()),
        });
        world.person.will(keybearer_testkit::effects::Conduct::SignsIn(DEV));
        let asking = engine.clone();
        let request = interactive(STORAGE, keybearer_core::Prompt::Login);
        let call = tokio::spawn(async move { asking.acquire_interactive(request).await });
        gate.reached(1).await;
        let engine = world.restart().await;
        let mut connected = usernames(&engine).await;
        connected.sort_unstable();
        let expected = [[OPS.username].as_slice(), &[DEV.username, OPS.username]][fate];
        assert_eq!(connected, expected);
        let mut request = silent(STORAGE);
        request.parameters.account = exactly(OPS);
        engine.acquire_silent(request).await.unwrap();
        drop(call);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_that_cannot_be_stored_is_an_error() {
    let mut world = EngineHarness::default();
    let engine = world.engine().await;
    world.store.next_commit(CommitFate::Fails);
    let result =
        engine.acquire_interactive(interactive(STORAGE, keybearer_core::Prompt::Login)).await;
    assert_eq!(kind(&result), &ErrorKind::Internal);
    assert!(world.store.records().is_empty());
    assert!(usernames(&engine).await.is_empty(), "what is not durable is not connected");
    assert!(usernames(&world.restart().await).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_that_cannot_be_stored_is_an_error_and_changes_nothing() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    world.store.next_commit(CommitFate::Fails);
    assert_eq!(kind(&remove(&engine, DEV).await), &ErrorKind::Internal);
    engine.acquire_silent(silent(STORAGE)).await.unwrap();
    remove(&engine, DEV).await.unwrap();
    assert!(world.store.records().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_that_runs_out_of_time_is_carried_through_all_the_same() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    engine.acquire_silent(silent(STORAGE)).await.unwrap();
    let write = Gate::default();
    world.store.next_commit(CommitFate::StallsAfter(write.clone()));
    assert_eq!(kind(&remove(&engine, DEV).await), &ErrorKind::TimedOut);
    assert!(world.store.records().is_empty());
    write.open();
    world.clock.advance(Duration::from_millis(1)).await;
    assert!(usernames(&engine).await.is_empty());
    let result = engine.acquire_silent(silent(STORAGE)).await;
    assert!(matches!(kind(&result), ErrorKind::InteractionRequired { .. }), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_while_the_write_of_a_sign_out_goes_on_that_nobody_waits_for() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    world.connect(&engine, OPS).await;
    let write = Gate::default();
    world.store.next_commit(CommitFate::StallsBefore(write.clone()));
    assert_eq!(kind(&remove(&engine, DEV).await), &ErrorKind::TimedOut);
    let before = world.store.commits();
    let ops = SilentRequest {
        parameters: TokenParameters { account: exactly(OPS), ..silent(MANAGEMENT).parameters },
    };
    let call = spawn(&engine, ops);
    world.clock.advance(Duration::from_secs(1)).await;
    assert_eq!(world.store.commits(), before);
    write.open();
    call.await.unwrap().unwrap();
    assert_eq!(usernames(&engine).await, [OPS.username]);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_lands_while_its_account_is_being_removed_leaves_nothing_behind() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    let (answer, commit) = (Gate::default(), Gate::default());
    world.http.rule(Rule::tokens(Action::HoldAnswer(answer.clone())));
    let call = spawn(&engine, silent(MANAGEMENT));
    answer.reached(1).await;
    world.store.next_commit(CommitFate::StallsBefore(commit.clone()));
    let removing = engine.clone();
    let removal = tokio::spawn(async move { remove(&removing, DEV).await });
    commit.reached(1).await;
    answer.open();
    world.clock.advance(Duration::from_millis(1)).await;
    commit.open();
    removal.await.unwrap().unwrap();
    let result = call.await.unwrap();
    assert!(matches!(kind(&result), ErrorKind::InteractionRequired { .. }), "{result:?}");
    assert!(world.store.records().is_empty());

    world.http.clear_rules();
    world.connect(&engine, DEV).await;
    engine.acquire_silent(silent(MANAGEMENT)).await.unwrap();
    assert_eq!(world.http.token_requests(), 1, "no token of the removed account was kept");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_read_is_a_clear_error_before_anything_is_redeemed_inv_i3() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    world.store.set_readable(false);
    let result = engine.acquire_silent(silent(STORAGE)).await;
    assert_eq!(kind(&result), &ErrorKind::Internal);
    assert!(result.unwrap_err().hint().is_some());
    assert_eq!(world.http.token_requests(), 0);
    world.store.set_readable(true);
    refresh(&engine, 2).await;
    assert_eq!(world.provider.reuses(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_that_is_damaged_or_gone_asks_for_a_sign_in_which_replaces_it() {
    let spoilers: [&dyn Fn(&EngineHarness); 2] =
        [&|world| world.store.damage("refresh/"), &|world| world.store.forget("refresh/")];
    for spoil in spoilers {
        let world = EngineHarness::default();
        let engine = world.connected(DEV).await;
        spoil(&world);
        let result = engine.acquire_silent(silent(STORAGE)).await;
        assert!(matches!(kind(&result), ErrorKind::InteractionRequired { .. }), "{result:?}");
        assert!(result.unwrap_err().hint().is_some());
        assert_eq!(usernames(&engine).await, [DEV.username]);
        world.connect(&engine, DEV).await;
        refresh(&engine, 2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn records_that_cannot_be_read_are_counted_and_left_where_they_are() {
    let mut world = EngineHarness::default();
    let engine = world.engine().await;
    world.connect(&engine, DEV).await;
    world.connect(&engine, OPS).await;
    let dev = format!("refresh/login.windows.net/{}", DEV.home_account_id());
    world.store.damage(&dev);
    let foreign = keybearer_engine::Record {
        key: keybearer_engine::RecordKey("account/login.windows.net/x.y".into()),
        value: keybearer_engine::SealedRecord(vec![7; 3]),
    };
    world.store.put(foreign);
    let before = world.store.records();

    let engine = world.restart().await;
    assert_eq!(engine.unreadable_records(), 2);
    let unchanged = |one: &[keybearer_engine::Record], other: &[keybearer_engine::Record]| {
        one.iter().zip(other).all(|(a, b)| a.key == b.key && a.value == b.value)
    };
    assert!(unchanged(&before, &world.store.records()));
    let ask = |user| {
        let mut request = silent(STORAGE);
        request.parameters.account = exactly(user);
        engine.acquire_silent(request)
    };
    ask(OPS).await.unwrap();
    let result = ask(DEV).await;
    assert!(matches!(kind(&result), ErrorKind::InteractionRequired { .. }));

    world.connect(&engine, DEV).await;
    let engine = world.restart().await;
    assert_eq!(engine.unreadable_records(), 1, "a new sign-in replaces its record");
}

#[tokio::test(start_paused = true)]
async fn another_key_opens_nothing_and_destroys_nothing_inv_i4() {
    let world = EngineHarness::default();
    world.connected(DEV).await;
    let mut effects = world.effects();
    effects.keys = std::sync::Arc::new(keybearer_testkit::effects::FixedKeys([1; 32]));
    let stranger = Engine::open(effects, Default::default()).await.unwrap();
    assert_eq!(stranger.unreadable_records(), 2);
    assert!(usernames(&stranger).await.is_empty());
    let engine = world.engine().await;
    assert_eq!(usernames(&engine).await, [DEV.username]);
    engine.acquire_silent(silent(STORAGE)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn everything_in_the_store_is_sealed_inv_i4() {
    let world = EngineHarness::default();
    let engine = world.connected(DEV).await;
    refresh(&engine, 20).await;
    let history = world.store.history();
    assert!(history.len() >= 20);
    let plain = [DEV.username, DEV.name, "current", "previous", "username"];
    for change in &history {
        let Change::Put(record) = change else { continue };
        world.secrets.assert_none_in("a record", &record.value.0);
        for text in plain {
            let found = record.value.0.windows(text.len()).any(|w| w == text.as_bytes());
            assert!(!found, "{text} is readable in {:?}", record.key);
        }
    }
    let mut values: Vec<&[u8]> = history
        .iter()
        .filter_map(|change| match change {
            Change::Put(record) => Some(record.value.0.as_slice()),
            Change::Delete(_) => None,
        })
        .collect();
    let count = values.len();
    values.sort_unstable();
    values.dedup();
    assert_eq!(values.len(), count, "no record was ever sealed the same way twice");
}
