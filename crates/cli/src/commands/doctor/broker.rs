use std::os::unix::fs::{FileTypeExt, MetadataExt};

use keybearer_broker::{BrokerControl, BusStatus, Status};
use keybearer_core::Process;
use keybearer_dbus::client::{Activation, BrokerProxy};
use keybearer_dbus::interface::BUS_NAME;
use keybearer_host::{Environment, Paths};

use super::LIMIT;
use super::finding::{Finding, Level};
use crate::commands::broker::another_version;

/// Whether Keybearer's broker runs, and whether its socket is safe.
pub(super) async fn examine(paths: &Paths, findings: &mut Vec<Finding>) -> Option<Status> {
    let status = match BrokerControl::connect(&paths.socket, LIMIT).await {
        Ok(control) => control.status(LIMIT).await,
        Err(error) => Err(error),
    };
    let there = paths.socket.symlink_metadata().is_ok();
    findings.push(match &status {
        Ok(status) => {
            let found = format!("running, process {}, version {}", status.pid, status.version);
            match another_version(status) {
                Some(notice) => Finding::new(Level::Warning, "broker", found).with_hint(notice),
                None => Finding::new(Level::Ok, "broker", found),
            }
        }
        Err(_) if !there => {
            Finding::new(Level::Info, "broker", "not running; programs start it when they need it")
        }
        Err(error) => {
            let finding = Finding::of_error("broker", Level::Warning, error);
            let next =
                "run `keybearer accounts` to start a broker, which replaces a socket left behind";
            if error.hint().is_some() { finding } else { finding.with_hint(next) }
        }
    });
    findings.push(socket(paths));
    let status = status.ok();
    let notices = status.iter().flat_map(|status| &status.notices);
    findings.extend(notices.map(|notice| {
        Finding::new(Level::Warning, "store", notice)
            .with_hint("run `keybearer login` for accounts that are missing")
    }));
    status
}

fn socket(paths: &Paths) -> Finding {
    let shown = paths.socket.display();
    let private = |metadata: &std::fs::Metadata, mode: u32| {
        metadata.uid() == own_uid() && metadata.mode() & 0o777 & !mode == 0
    };
    let (Some(directory), socket) =
        (paths.runtime_dir.symlink_metadata().ok(), paths.socket.symlink_metadata().ok())
    else {
        return Finding::new(Level::Info, "socket", format!("none yet; it will be {shown}"));
    };
    if !directory.is_dir() || !private(&directory, 0o700) {
        let found = format!(
            "other users can access {} (owner {}, mode {:o})",
            paths.runtime_dir.display(),
            directory.uid(),
            directory.mode() & 0o7777
        );
        let next =
            format!("check who created it, then run: rm -r '{}'", paths.runtime_dir.display());
        return Finding::new(Level::Error, "socket", found).with_hint(next);
    }
    match socket {
        None => Finding::new(Level::Info, "socket", format!("none yet; it will be {shown}")),
        Some(socket) if socket.file_type().is_socket() && private(&socket, 0o600) => {
            Finding::new(Level::Ok, "socket", format!("{shown}, accessible only to you"))
        }
        Some(_) => {
            let found = format!("{shown} is not a socket that only you can access");
            let next = format!("run: rm '{shown}'");
            Finding::new(Level::Error, "socket", found).with_hint(next)
        }
    }
}

/// The session bus, and the owner of the broker's name there.
pub(super) async fn examine_bus(
    environment: &Environment,
    status: Option<&Status>,
    findings: &mut Vec<Finding>,
) {
    let Some(address) = environment.session_bus_address() else {
        let found = "none; programs that use only D-Bus (Microsoft's) find no broker";
        return findings.push(Finding::new(Level::Info, "session bus", found));
    };
    let owner = BrokerProxy::connect_bus(&address, Activation::Leave, LIMIT).await;
    findings.push(match owner {
        Ok(owner) => named(owner.process(), status),
        Err(error) => {
            let found = format!("no process has the name {BUS_NAME} ({})", error.message());
            let finding = Finding::new(Level::Info, "session bus", found);
            match status.map(|status| &status.bus) {
                // Keybearer's broker runs, but could not get the name.
                Some(own @ (BusStatus::Failed { .. } | BusStatus::Lost)) => {
                    let found = format!("Keybearer's broker: {own}");
                    Finding::new(Level::Warning, "session bus", found)
                        .with_hint("run `keybearer broker stop`; the next broker tries again")
                }
                _ => finding,
            }
        }
    });
}

fn named(owner: &Process, status: Option<&Status>) -> Finding {
    if status.is_some_and(|status| status.pid == owner.pid) {
        return Finding::new(
            Level::Ok,
            "session bus",
            format!("Keybearer's broker has the name {BUS_NAME}"),
        );
    }
    let program =
        owner.executable.as_ref().map_or_else(String::new, |path| format!(" ({})", path.display()));
    let found = format!("process {}{program} has the name {BUS_NAME}", owner.pid);
    let next = "use programs that connect to the socket; those that use only D-Bus get that broker's accounts";
    Finding::new(Level::Info, "session bus", found).with_hint(next)
}

fn own_uid() -> u32 {
    keybearer_host::UserFacts::current().uid
}
