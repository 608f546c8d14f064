use keybearer_host::Environment;
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The environment variable for the log level.
const VARIABLE: &str = "KEYBEARER_LOG";

/// Logs to standard error; under systemd that is the journal.
pub(crate) fn log_to_stderr(environment: &Environment) {
    let wanted = environment.text(VARIABLE);
    let level = wanted.map_or(Ok(LevelFilter::INFO), str::parse::<LevelFilter>);
    let filter = filter(level.as_ref().copied().unwrap_or(LevelFilter::INFO));
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(std::io::stderr);
    // The journal adds timestamps itself. In tests, a second broker in the process keeps the log of
    // the first.
    let _ = if environment.has("JOURNAL_STREAM") {
        tracing_subscriber::registry().with(filter).with(lines.without_time()).try_init()
    } else {
        tracing_subscriber::registry().with(filter).with(lines).try_init()
    };
    if level.is_err() {
        tracing::warn!("{VARIABLE} must be off, error, warn, info, debug or trace; using info");
    }
}

/// Our own crates at the requested level. Other libraries may log the secrets they carry at detailed
/// levels, so they never log more than warnings (invariant I5).
fn filter(level: LevelFilter) -> Targets {
    let others = level.min(LevelFilter::from_level(Level::WARN));
    Targets::new().with_default(others).with_target("keybearer", level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i5_libraries_below_never_log_details() {
        let filter = filter(LevelFilter::TRACE);
        assert!(filter.would_enable("keybearer_engine::silent", &Level::TRACE));
        for other in ["zbus::connection", "hyper::proto", "reqwest::connect", "rustls", "h2"] {
            assert!(filter.would_enable(other, &Level::WARN), "{other}");
            assert!(!filter.would_enable(other, &Level::INFO), "{other}");
        }
    }

    #[test]
    fn a_quieter_level_is_quieter_for_all() {
        let filter = filter(LevelFilter::ERROR);
        assert!(!filter.would_enable("keybearer_broker", &Level::WARN));
        assert!(!filter.would_enable("zbus", &Level::WARN));
    }
}
