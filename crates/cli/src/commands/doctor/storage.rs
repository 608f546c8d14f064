use keybearer_broker::Status;
use keybearer_host::{Environment, Host, KeyStatus, Paths, private_dir};

use super::finding::{Finding, Level};

/// The state directory, the store in it, and the protection of its key (invariant I4).
pub(super) async fn examine(
    paths: &Paths,
    environment: &Environment,
    status: Option<&Status>,
    findings: &mut Vec<Finding>,
) {
    let shown = paths.state_dir.display();
    if paths.state_dir.symlink_metadata().is_err() {
        let found = format!("none yet; it will be in {shown}");
        return findings.push(Finding::new(Level::Info, "store", found));
    }
    if let Err(error) = private_dir(&paths.state_dir) {
        return findings.push(Finding::of_error("store", Level::Error, &error));
    }
    findings.push(match (status, paths.state_dir.join("store.log").metadata()) {
        (Some(status), _) => {
            let accounts = match status.accounts {
                1 => "1 account".to_owned(),
                count => format!("{count} accounts"),
            };
            Finding::new(Level::Ok, "store", format!("{shown}, {accounts}"))
        }
        (None, Ok(file)) => {
            let found =
                format!("{shown}, {} bytes; the broker checks it when it starts", file.len());
            Finding::new(Level::Ok, "store", found)
        }
        (None, Err(_)) => {
            Finding::new(Level::Info, "store", format!("none yet; it will be in {shown}"))
        }
    });
    let key = match status {
        Some(status) => status.key.clone(),
        None => Host::durable(paths, environment).key_status().await,
    };
    findings.push(protection(&key));
}

fn protection(key: &KeyStatus) -> Finding {
    let level = match (&key.problem, key.advice()) {
        (Some(_), _) => Level::Error,
        (None, Some(_)) => Level::Info,
        (None, None) => Level::Ok,
    };
    let hint = match &key.problem {
        Some(problem) => problem.hint.clone(),
        None => key.advice().map(str::to_owned),
    };
    Finding { hint, ..Finding::new(level, "key", key.description()) }
}
