//! The store on disk: promises I3, I4 and I13.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use keybearer_core::{ErrorKind, Result};
use keybearer_engine::{Change, Random, Record, RecordKey, SealedRecord, TokenStore};
use keybearer_host::{FileStore, MemoryStore, StoreNotice, SystemRandom};

fn put(key: &str, value: &[u8]) -> Change {
    Change::Put(Record { key: RecordKey(key.into()), value: SealedRecord(value.to_vec()) })
}

async fn content(store: &dyn TokenStore) -> BTreeMap<String, Vec<u8>> {
    let mut content = BTreeMap::new();
    loop {
        let after =
            content.last_key_value().map(|(key, _): (&String, &Vec<u8>)| RecordKey(key.clone()));
        let page = store.load(after.as_ref()).await.unwrap();
        if page.is_empty() {
            return content;
        }
        content.extend(page.into_iter().map(|record| (record.key.0, record.value.0)));
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[tokio::test]
async fn a_store_is_read_whole_however_many_pages_it_takes() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let stores: [&dyn TokenStore; 2] = [&FileStore::new(&state), &MemoryStore::default()];
    for store in stores {
        let records: Vec<Change> = (0..300).map(|n| put(&format!("k{n:03}"), b"v")).collect();
        store.commit(records).await.unwrap();
        assert_eq!(content(store).await.len(), 300);
    }
}

#[tokio::test]
async fn both_stores_keep_what_was_put_and_forget_what_was_deleted() {
    let temporary = tempfile::tempdir().unwrap();
    let state = temporary.path().join("state");
    let stores: [Box<dyn TokenStore>; 2] =
        [Box::new(FileStore::new(&state)), Box::<MemoryStore>::default()];
    for store in &stores {
        assert!(content(&**store).await.is_empty());
        assert!(store.read(&RecordKey("a".into())).await.unwrap().is_none());
        store.commit(vec![put("a", b"1"), put("b", b"2")]).await.unwrap();
        let absent = Change::Delete(RecordKey("never".into()));
        let gone = Change::Delete(RecordKey("b".into()));
        store.commit(vec![put("a", b"3"), gone, absent]).await.unwrap();
        assert_eq!(content(&**store).await, BTreeMap::from([("a".into(), b"3".to_vec())]));
        let kept = store.read(&RecordKey("a".into())).await.unwrap().unwrap();
        assert_eq!((kept.key.0.as_str(), kept.value.0.as_slice()), ("a", b"3".as_slice()));
        assert!(store.read(&RecordKey("b".into())).await.unwrap().is_none());
    }
    drop(stores);
    let file = state.join("store.log");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(content(&FileStore::new(&state)).await["a"], b"3");
}

#[tokio::test]
async fn a_second_process_is_told_who_uses_the_store() {
    let temporary = tempfile::tempdir().unwrap();
    let state = temporary.path().join("state");
    let first = FileStore::new(&state);
    first.load(None).await.unwrap();
    let error = FileStore::new(&state).load(None).await.unwrap_err();
    if cfg!(target_os = "linux") {
        let expected = format!("process {} (", std::process::id());
        assert!(error.message().contains(&expected), "{error}");
    }
    first.commit(vec![put("a", b"1")]).await.unwrap();
}

#[tokio::test]
async fn a_store_that_is_closed_is_left_to_others_even_by_those_who_still_have_it() {
    let temporary = tempfile::tempdir().unwrap();
    let state = temporary.path().join("state");
    let first = FileStore::new(&state);
    first.commit(vec![put("a", b"1")]).await.unwrap();
    let kept = first.clone();
    first.close().await;
    for error in [
        kept.load(None).await.map(drop).unwrap_err(),
        kept.read(&RecordKey("a".into())).await.map(drop).unwrap_err(),
        kept.commit(vec![put("b", b"2")]).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), &ErrorKind::Transient { retry_after: None });
        assert!(error.message().contains("is stopping"), "{error}");
    }
    let next = FileStore::new(&state);
    assert_eq!(content(&next).await, BTreeMap::from([("a".into(), b"1".to_vec())]));
}

#[tokio::test]
async fn a_store_that_others_could_have_touched_is_refused_with_the_remedy() {
    let spoilers: [&dyn Fn(&Path); 4] = [
        &|file| std::fs::set_permissions(file, PermissionsExt::from_mode(0o644)).unwrap(),
        &|file| std::fs::hard_link(file, file.with_extension("link")).unwrap(),
        &|file| {
            std::fs::rename(file, file.with_extension("real")).unwrap();
            symlink(file.with_extension("real"), file).unwrap();
        },
        &|file| {
            let parent = file.parent().unwrap();
            std::fs::set_permissions(parent, PermissionsExt::from_mode(0o750)).unwrap();
        },
    ];
    for spoil in spoilers {
        let temporary = tempfile::tempdir().unwrap();
        let state = temporary.path().join("state");
        let store = FileStore::new(&state);
        store.commit(vec![put("a", b"1")]).await.unwrap();
        drop(store);
        spoil(&state.join("store.log"));
        let store = FileStore::new(&state);
        let error = store.load(None).await.unwrap_err();
        assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "{error:?}");
        assert!(store.notices().is_empty(), "a refused store is not a damaged one");
    }
}

/// What damage costs, `store/damage.rs` tries in memory; here the repair is seen on disk.
#[test]
fn a_damaged_store_is_repaired_and_a_copy_of_it_is_kept_inv_i13() {
    let temporary = tempfile::tempdir().unwrap();
    let values: BTreeMap<String, Vec<u8>> =
        (0..40_u8).map(|n| (format!("account/{n}"), vec![n + 1; 200])).collect();
    let original = whole_store(&temporary.path().join("original"), &values);
    let value = original.windows(200).position(|bytes| bytes == [8; 200]).unwrap();
    let mut flipped = original.clone();
    flipped[value + 99] ^= 4;
    let cut = original[..value + 99].to_vec();
    let empty = Vec::new();
    for (case, bytes, lost) in [("flipped", flipped, 1), ("cut", cut, 1), ("empty", empty, 40)] {
        let state = temporary.path().join(case);
        let notice = damaged_case(&state, &bytes, &values);
        assert!(notice.recovered + lost <= 40 && notice.recovered > 0 || case == "empty", "{case}");
        assert_eq!(std::fs::read(&notice.set_aside).unwrap(), bytes, "{case}: the copy");
        if case != "empty" {
            assert!(notice.lost.contains(&"account/7".to_owned()), "{case}: {notice:?}");
            assert!(notice.to_string().contains("account/7"), "{notice}");
        }
    }
}

fn whole_store(state: &Path, values: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let store = FileStore::new(state);
    for (key, value) in values {
        run(store.commit(vec![put(key, value)])).unwrap();
    }
    drop(store);
    std::fs::read(state.join("store.log")).unwrap()
}

fn damaged_case(state: &Path, bytes: &[u8], values: &BTreeMap<String, Vec<u8>>) -> StoreNotice {
    let file = state.join("store.log");
    drop(keybearer_host::private_dir(state).unwrap());
    std::fs::write(&file, bytes).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    let store = FileStore::new(state);
    let kept = run(content(&store));
    assert!(kept.iter().all(|(key, value)| values.get(key) == Some(value)));
    run(store.commit(vec![put("new", b"new")])).unwrap();
    assert_eq!(run(content(&store))["new"], b"new");
    let [notice] = &store.notices()[..] else { panic!("one notice: {:?}", store.notices()) };
    let notice = notice.clone();
    drop(store);
    let store = FileStore::new(state);
    assert_eq!(run(content(&store))["new"], b"new");
    assert!(store.notices().is_empty(), "repaired once");
    notice
}

#[tokio::test]
async fn what_was_deleted_does_not_stay_in_the_file() {
    let temporary = tempfile::tempdir().unwrap();
    let state = temporary.path().join("state");
    let store = FileStore::new(&state);
    for round in 1..=3 {
        store.commit(vec![put("refresh/a", &[0xa0 | round; 64])]).await.unwrap();
        store.commit(vec![put("refresh/b", &[0xb0 | round; 64])]).await.unwrap();
    }
    let holds = |byte: u8| {
        let file = std::fs::read(state.join("store.log")).unwrap();
        file.windows(16).any(|bytes| bytes == [byte; 16])
    };
    assert!(holds(0xa3) && holds(0xb3));
    store.commit(vec![Change::Delete(RecordKey("refresh/a".into()))]).await.unwrap();
    assert!((1..=3).all(|round| !holds(0xa0 | round)), "no value of the deleted record is left");
    assert!(holds(0xb3));
    store.commit(vec![Change::Delete(RecordKey("refresh/b".into()))]).await.unwrap();
    assert!((1..=3).all(|round| !holds(0xb0 | round)));
    drop(store);
    let store = FileStore::new(&state);
    assert!(content(&store).await.is_empty());
    assert!(store.notices().is_empty(), "{:?}", store.notices());
}

#[tokio::test]
async fn outdated_values_do_not_make_the_file_grow_without_end() {
    let temporary = tempfile::tempdir().unwrap();
    let state = temporary.path().join("state");
    let store = FileStore::new(&state);
    for round in 0..100_u8 {
        store.commit(vec![put("one", &vec![round; 100_000])]).await.unwrap();
    }
    let length = state.join("store.log").metadata().unwrap().len();
    assert!(length < 2 * 1024 * 1024, "{length} bytes for one record of 100,000");
    assert_eq!(content(&store).await["one"], vec![99; 100_000]);
}

/// What is written to a file without a name would be gone at the next start.
#[tokio::test]
async fn a_store_that_is_deleted_or_replaced_while_it_is_used_is_not_written_to() {
    let others: [&dyn Fn(&Path); 2] = [&|file| std::fs::remove_file(file).unwrap(), &|file| {
        let restored = file.with_extension("restored");
        std::fs::copy(file, &restored).unwrap();
        std::fs::rename(restored, file).unwrap();
    }];
    for other in others {
        let temporary = tempfile::tempdir().unwrap();
        let state = temporary.path().join("state");
        let store = FileStore::new(&state);
        store.commit(vec![put("a", b"1")]).await.unwrap();
        other(&state.join("store.log"));
        let error = store.commit(vec![put("b", b"2")]).await.unwrap_err();
        assert!(error.message().contains("deleted or replaced"), "{error}");
        assert!(error.hint().is_some());
    }
}

const CHILD: &str = "KEYBEARER_TEST_STORE";

/// Promise I3.
#[test]
fn a_killed_writer_leaves_the_old_or_the_new_state() {
    let temporary = tempfile::tempdir().unwrap();
    let state = temporary.path().join("state");
    let mut last = 0;
    for round in 0..50 {
        let confirmed = killed_writer(&state);
        let store = FileStore::new(&state);
        let content = run(content(&store));
        assert!(store.notices().is_empty(), "round {round}: {:?}", store.notices());
        let number = |key: &str| {
            content.get(key).map_or(0, |value| u64::from_le_bytes(value[..8].try_into().unwrap()))
        };
        assert_eq!(number("one"), number("two"), "round {round}: half a commit");
        let found = number("one");
        assert!(
            found == confirmed || found == confirmed + 1,
            "round {round}: {found}, {confirmed}"
        );
        last = found;
    }
    assert!(last >= 100, "two commits of each round were confirmed: {last}");
}

/// Starts a writer, kills it some way into a commit that it has not reported, and returns the last
/// one it reported.
fn killed_writer(state: &Path) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer_process", "--nocapture"])
        .env(CHILD, state)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reported = lines.map_while(std::io::Result::ok);
    let mut reported = reported.filter_map(|line| line.strip_prefix("done ")?.parse::<u64>().ok());
    let mut random = [0; 4];
    SystemRandom.fill(&mut random);
    let [commits, spins, ..] = random;
    let mut last = None;
    for _ in 0..2 + commits % 8 {
        last = reported.next();
    }
    // How far the next commit has come by then is up to the machine; every moment is a good one.
    for _ in 0..u32::from(spins) * 200 {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    let last = reported.last().or(last);
    child.wait().unwrap();
    last.expect("the writer reports its commits")
}

/// Run by [`killed_writer`] in a child process.
#[test]
fn writer_process() {
    let Some(state) = std::env::var_os(CHILD) else { return };
    let store = FileStore::new(Path::new(&state));
    let outcome: Result<()> = run(async {
        let content = content(&store).await;
        let start =
            content.get("one").map_or(0, |v| u64::from_le_bytes(v[..8].try_into().unwrap()));
        for number in start + 1.. {
            let mut value = vec![7; 1 + (number as usize * 977) % 9000];
            value.splice(0..0, number.to_le_bytes());
            store.commit(vec![put("one", &value), put("two", &value)]).await?;
            writeln!(std::io::stdout(), "done {number}").unwrap();
        }
        Ok(())
    });
    outcome.unwrap();
}
