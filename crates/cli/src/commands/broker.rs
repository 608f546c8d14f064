use std::time::Duration;

use clap::{Args, Subcommand};
use keybearer_broker::{
    BrokerControl, BrokerOptions, DEFAULT_IDLE_EXIT, Found, Incumbent, Installation, SignIns,
    Status,
};
use keybearer_core::Result;
use keybearer_host::{Environment, Paths};
use serde_json::json;

use super::{below_help, install};
use crate::arguments::TableFormat;
use crate::failure::ErrorFormat;
use crate::output;
use crate::session::run;

const EXAMPLES: &str = "\
Examples:
  keybearer broker status
  keybearer broker run --replace --idle-exit 0";

/// How long a broker may take to report its status.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Requests in progress may take five seconds to end.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Longer than the default time limit of any sign-in.
const SIGN_IN_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Manage the per-user broker
///
/// Programs start the broker when they need it, so you seldom need these commands.
#[derive(Args, Debug)]
#[command(after_help = below_help(EXAMPLES))]
pub(crate) struct Broker {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Run the broker in the foreground until stopped or idle
    ///
    /// Prints `ready SOCKET` on standard output once it accepts requests, and logs to standard error
    /// (KEYBEARER_LOG sets the level: error, warn, info, debug or trace).
    #[command(after_help = below_help("Example: run until stopped\n  keybearer broker run --idle-exit 0"))]
    Run {
        /// Exit after this many seconds without requests; 0 for never
        #[arg(long, value_name = "SECS", default_value_t = DEFAULT_IDLE_EXIT.as_secs())]
        idle_exit: u64,
        /// Stop the running broker, and replace it
        #[arg(long)]
        replace: bool,
    },
    /// Show the status of the running broker
    #[command(after_help = below_help("Example:\n  keybearer broker status --output json"))]
    Status {
        /// What to print
        #[arg(long, value_name = "FORMAT", default_value = "table")]
        output: TableFormat,
    },
    Install(install::Install),
    /// Remove what `install` wrote
    #[command(after_help = below_help("Example:\n  keybearer broker uninstall"))]
    Uninstall,
    /// Stop the running broker
    ///
    /// Requests in progress may take up to five seconds. The next program that needs a broker starts
    /// one; use this to switch to a newer version.
    #[command(after_help = below_help("Example:\n  keybearer broker stop --after-sign-ins"))]
    Stop {
        /// Wait for pending sign-ins first, which may take minutes
        #[arg(long)]
        after_sign_ins: bool,
    },
}

impl Broker {
    pub(crate) fn run(self) -> Result<()> {
        match self.action {
            Action::Run { idle_exit, replace } => {
                let limit = Duration::from_secs(idle_exit);
                let idle_exit = (!limit.is_zero()).then_some(limit);
                let incumbent = if replace { Incumbent::Replaced } else { Incumbent::Stays };
                let options = BrokerOptions { idle_exit, incumbent, ..BrokerOptions::default() }
                    .with_passed_listener();
                keybearer_broker::run(options).map(drop)
            }
            Action::Status { output } => status(output),
            Action::Install(install) => install.run(),
            Action::Uninstall => install::uninstall(),
            Action::Stop { after_sign_ins: false } => stop(SignIns::CutOff, STOP_LIMIT),
            Action::Stop { after_sign_ins: true } => stop(SignIns::AwaitEnd, SIGN_IN_LIMIT),
        }
    }

    pub(crate) const fn error_format(&self) -> ErrorFormat {
        match &self.action {
            Action::Status { output } => output.error_format(),
            Action::Run { .. } | Action::Install(_) | Action::Uninstall | Action::Stop { .. } => {
                ErrorFormat::Text
            }
        }
    }
}

fn status(format: TableFormat) -> Result<()> {
    let environment = Environment::current();
    let paths = Paths::current(&environment)?;
    let status = run(async {
        BrokerControl::connect(&paths.socket, ANSWER_LIMIT).await?.status(ANSWER_LIMIT).await
    })
    .map_err(not_running)?;
    let found = Installation::find(&environment);
    match format {
        TableFormat::Json => {
            let mut answer = json!(status);
            answer["installed"] = json!(found.ok());
            output::json(&answer)
        }
        TableFormat::Table => output::text(&describe(&status, &installed(found))),
    }
}

fn stop(sign_ins: SignIns, limit: Duration) -> Result<()> {
    let paths = Paths::current(&Environment::current())?;
    run(async {
        BrokerControl::connect(&paths.socket, ANSWER_LIMIT).await?.stop(sign_ins, limit).await
    })
    .map_err(not_running)?;
    output::text("stopped\n")
}

fn not_running(error: keybearer_core::Error) -> keybearer_core::Error {
    if error.hint().is_some() {
        return error;
    }
    error.with_hint("run `keybearer login` to start a broker, if none is running")
}

/// Describes what starts the broker besides programs that need it.
fn installed(found: Result<Found>) -> String {
    match found {
        Ok(Found { files, .. }) if files.is_empty() => "no: programs start the broker".into(),
        Ok(Found { program: Some(program), .. }) => format!("yes: {}", program.display()),
        Ok(Found { program: None, .. }) => {
            "incomplete: run `keybearer broker install` again".into()
        }
        Err(error) => format!("unknown: {}", error.message()),
    }
}

fn describe(status: &Status, installed: &str) -> String {
    let mut rows = vec![[
        "broker".into(),
        format!("running, process {}, version {}", status.pid, status.version),
    ]];
    rows.extend(status.doors.iter().map(|door| [door.name.clone(), door.state.clone()]));
    rows.push(["key".into(), status.key.description()]);
    let problem = status.key.problem.as_ref();
    let hint = problem.and_then(|problem| problem.hint.as_ref());
    rows.extend(hint.map(|hint| [String::new(), format!("hint: {hint}")]));
    rows.extend([
        ["store".into(), status.store.display().to_string()],
        ["accounts".into(), status.accounts.to_string()],
        ["installed".into(), installed.to_owned()],
    ]);
    rows.extend(another_version(status).map(|notice| ["notice".into(), notice]));
    rows.extend(status.notices.iter().map(|notice| ["notice".into(), notice.clone()]));
    output::table(&rows)
}

/// Explains how to restart a broker of another version: an update replaces the program, not the
/// running broker.
pub(super) fn another_version(status: &Status) -> Option<String> {
    let own = env!("CARGO_PKG_VERSION");
    (status.version != own).then(|| {
        format!("run `keybearer broker stop --after-sign-ins` to restart the broker as version {own}, that of this program")
    })
}

#[cfg(test)]
mod tests {
    use keybearer_broker::{BusStatus, DoorStatus};
    use keybearer_host::{KeyProblem, KeyStatus};

    use super::*;

    fn status(version: &str) -> Status {
        Status {
            pid: 7,
            version: version.into(),
            socket: "/r/broker.sock".into(),
            bus: BusStatus::Absent,
            key: KeyStatus::absent(),
            store: "/s".into(),
            accounts: 1,
            clients: 2,
            doors: vec![DoorStatus { name: "post".into(), state: "2 letters".into() }],
            notices: vec![],
        }
    }

    #[test]
    fn a_broker_of_another_version_is_told_with_the_next_step() {
        let told = describe(&status("0.0.1"), "no");
        assert!(told.contains("version 0.0.1") && told.contains("keybearer broker stop"), "{told}");
        assert!(!describe(&status(env!("CARGO_PKG_VERSION")), "no").contains("notice"));
    }

    #[test]
    fn every_door_has_a_line_and_a_damaged_key_its_next_step() {
        let mut status = status("1");
        assert!(describe(&status, "no").contains("not made yet"));
        let hint = Some("restore it".to_owned());
        status.key.problem = Some(KeyProblem { message: "the key is damaged".into(), hint });
        let text = describe(&status, "no");
        for line in ["post       2 letters", "the key is damaged", "hint: restore it"] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
