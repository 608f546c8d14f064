use keybearer_broker::{Conflict, Found, Installation};
use keybearer_host::Environment;

use super::finding::{Finding, Level};

/// What starts a broker when nobody of ours does: the session bus and systemd.
pub(super) fn examine(environment: &Environment) -> Finding {
    match Installation::find(environment) {
        Ok(found) if found.files.is_empty() => not_installed(&found.others),
        Ok(found) => installed(&found),
        Err(error) => Finding::of_error(ABOUT, Level::Warning, &error),
    }
}

const ABOUT: &str = "installed";

fn not_installed(others: &[Conflict]) -> Finding {
    match others.first() {
        Some(other) => Finding::new(Level::Info, ABOUT, other.to_string())
            .with_hint("run `keybearer broker install`; it says how ours is started in its place"),
        None => Finding::new(Level::Info, ABOUT, "no; programs start the broker themselves")
            .with_hint("to have the session bus start it, too: `keybearer broker install`"),
    }
}

fn installed(found: &Found) -> Finding {
    let again = "run `keybearer broker install` again";
    if let Some(other) = found.others.iter().find(|other| !other.gives_way()) {
        return Finding::new(Level::Warning, ABOUT, other.to_string())
            .with_hint("move that file elsewhere");
    }
    let Some(program) = &found.program else {
        return Finding::new(Level::Warning, ABOUT, "in part: nothing names the program")
            .with_hint(again);
    };
    let shown = program.display();
    if !program.is_file() {
        let found = format!("{shown} is to be started, and is not there");
        return Finding::new(Level::Warning, ABOUT, found).with_hint(again);
    }
    match std::env::current_exe() {
        Ok(own) if own != *program => {
            Finding::new(Level::Info, ABOUT, format!("{shown}, which is not this program"))
                .with_hint(format!("to have this one started: {again}"))
        }
        _ => Finding::new(Level::Ok, ABOUT, format!("{shown} is started when it is wanted")),
    }
}
