use keybearer_broker::{KeyStatus, Status};
use keybearer_host::{Environment, Host, Paths, private_dir};

use super::finding::{Finding, Level};
use crate::commands::broker::key;

/// The state directory, the store in it, and what protects its key (invariant I4).
pub(super) fn examine(
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
            Finding::new(Level::Ok, "store", format!("{shown}, {} accounts", status.accounts))
        }
        (None, Ok(file)) => {
            let found =
                format!("{shown}, {} bytes; the broker checks it when it starts", file.len());
            Finding::new(Level::Ok, "store", found)
        }
        (None, Err(_)) => Finding::new(Level::Info, "store", format!("{shown} has none yet")),
    });
    findings.push(protection(paths, environment, status));
}

fn protection(paths: &Paths, environment: &Environment, status: Option<&Status>) -> Finding {
    let protection = match status {
        Some(status) => Ok(status.key),
        None => Host::durable(paths, environment).protection().map(KeyStatus::from),
    };
    match protection {
        Err(error) => Finding::of_error("key", Level::Error, &error),
        Ok(KeyStatus::File) => Finding::new(Level::Info, "key", key(KeyStatus::File))
            .with_hint("with a desktop keyring at the first start it would be there"),
        Ok(status) => Finding::new(Level::Ok, "key", key(status)),
    }
}
