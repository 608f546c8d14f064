use keybearer_broker::{Conflict, Found, Installation};
use keybearer_host::Environment;

use super::finding::{Finding, Level};

/// Whether the session bus and systemd can start the broker.
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
            .with_hint("run `keybearer broker install` to see how to replace it"),
        None => Finding::new(Level::Info, ABOUT, "no; programs start the broker themselves")
            .with_hint("run `keybearer broker install` to let the session bus start it, too"),
    }
}

fn installed(found: &Found) -> Finding {
    let again = "run `keybearer broker install` again";
    if let Some(other) = found.others.iter().find(|other| !other.gives_way()) {
        return Finding::new(Level::Warning, ABOUT, other.to_string())
            .with_hint("move that file elsewhere");
    }
    let Some(program) = &found.program else {
        return Finding::new(Level::Warning, ABOUT, "incomplete: no file names the program")
            .with_hint(again);
    };
    let shown = program.display();
    if !program.is_file() {
        let found = format!("{shown} would be started, but does not exist");
        return Finding::new(Level::Warning, ABOUT, found).with_hint(again);
    }
    match std::env::current_exe() {
        Ok(own) if own != *program => {
            Finding::new(Level::Info, ABOUT, format!("{shown}, which is not this program"))
                .with_hint("run `keybearer broker install` again to start this one instead")
        }
        _ => Finding::new(Level::Ok, ABOUT, format!("{shown} is started on demand")),
    }
}
