//! The store on disk: promises I3 and I4, damaged files, and who may access the files.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use keybearer_core::{ErrorKind, Result};
use keybearer_engine::{Change, Random, Record, RecordKey, SealedRecord, TokenStore};
use keybearer_host::{FileStore, MemoryStore, SystemRandom};

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
    let file = state.join("store.redb");
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
        assert!(error.message().contains("ends"), "{error}");
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
        spoil(&state.join("store.redb"));
        let store = FileStore::new(&state);
        let error = store.load(None).await.unwrap_err();
        assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "{error:?}");
        assert!(store.notices().is_empty(), "a refused store is not a damaged one");
    }
}

/// The store does not judge contents: a record whose sealed bytes changed is refused above. But
/// no record may come back under another's key, nothing may panic, and the file is kept.
#[test]
fn no_damage_makes_the_store_panic_or_mix_up_records() {
    let temporary = tempfile::tempdir().unwrap();
    let values: BTreeMap<String, Vec<u8>> =
        (0..40_u8).map(|n| (format!("account/{n}"), vec![n + 1; 200])).collect();
    let original = whole_store(&temporary.path().join("original"), &values);
    let used: Vec<usize> =
        (0..original.len()).filter(|&at| original[at] != 0).step_by(211).collect();
    let lengths = (0..24).map(|n| original.len() * n / 24);
    let cut = lengths.map(|length| original[..length].to_vec());
    let flipped = used.iter().map(|&at| {
        let mut bytes = original.clone();
        bytes[at] ^= 1 << (at % 8);
        bytes
    });
    let (mut intact, mut recovered) = (0, Vec::new());
    for (case, bytes) in cut.chain(flipped).enumerate() {
        let state = temporary.path().join(format!("case-{case}"));
        match damaged_case(&state, &bytes, &values) {
            None => intact += 1,
            Some(records) => recovered.push(records),
        }
        std::fs::remove_dir_all(state).unwrap();
    }
    let mostly = recovered.iter().filter(|records| **records >= 39).count();
    println!("{intact} harmless, {} set aside, {mostly} of them salvaged", recovered.len());
    assert!(recovered.len() >= 24, "every truncation is noticed");
}

fn whole_store(state: &Path, values: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let store = FileStore::new(state);
    let changes = values.iter().map(|(key, value)| put(key, value)).collect();
    run(store.commit(changes)).unwrap();
    run(store.commit(vec![put("account/0", &values["account/0"])])).unwrap();
    drop(store);
    std::fs::read(state.join("store.redb")).unwrap()
}

fn damaged_case(state: &Path, bytes: &[u8], values: &BTreeMap<String, Vec<u8>>) -> Option<usize> {
    let file = state.join("store.redb");
    drop(keybearer_host::private_dir(state).unwrap());
    std::fs::write(&file, bytes).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    let store = FileStore::new(state);
    if let Err(error) = run(store.load(None)) {
        // What looks like another version's file is left alone.
        assert!(error.message().contains("another version") && error.hint().is_some(), "{error:?}");
        return None;
    }
    for (key, value) in run(content(&store)) {
        let owner = values.iter().find(|(_, own)| **own == value).map(|(owner, _)| owner);
        let mixed_up = values.contains_key(&key) && owner.is_some_and(|owner| *owner != key);
        assert!(!mixed_up, "{key} holds the record of {owner:?}");
    }
    run(store.commit(vec![put("new", b"new")])).unwrap();
    assert_eq!(run(content(&store))["new"], b"new");
    let notices = store.notices();
    for notice in &notices {
        // redb's own attempt to recover may have changed it, so only its presence is certain.
        assert!(notice.set_aside.is_file(), "the damaged file is kept");
    }
    if notices.is_empty() {
        let kept = run(content(&store));
        assert!(values.iter().all(|(key, value)| kept.get(key) == Some(value)), "silent loss");
    }
    notices.first().map(|notice| notice.recovered)
}

const CHILD: &str = "KEYBEARER_TEST_STORE";

/// Promise I3.
#[test]
fn a_killed_writer_leaves_the_old_or_the_new_state() {
    let temporary = tempfile::tempdir().unwrap();
    let state = temporary.path().join("state");
    let mut last = 0;
    for round in 0..50 {
        let confirmed = killed_writer(&state).unwrap_or(last);
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
    assert!(last > 50, "the writer got somewhere: {last}");
}

/// Starts a writer, kills it at a random moment and returns the last commit it reported.
fn killed_writer(state: &Path) -> Option<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer_process", "--nocapture"])
        .env(CHILD, state)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut random = [0; 8];
    SystemRandom.fill(&mut random);
    std::thread::sleep(Duration::from_micros(u64::from_le_bytes(random) % 60_000));
    child.kill().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reported = lines.map_while(std::io::Result::ok);
    let last = reported.filter_map(|line| line.strip_prefix("done ")?.parse().ok()).last();
    child.wait().unwrap();
    last
}

/// Not a test of its own: what [`killed_writer`] runs.
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
