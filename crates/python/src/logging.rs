//! Delivers the credential's log lines to the logger `keybearer` of Python's `logging`.
//!
//! The background threads never enter the interpreter, so their lines wait in a queue until a thread
//! of the program delivers them: every 50 ms while it waits for a request, and when it reads the
//! result. The program chooses the level; `enable_support_logging` only adds account names.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, Once, PoisonError};

use pyo3::intern;
use pyo3::prelude::*;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

const LOGGER: &str = "keybearer";

/// How many undelivered lines are kept; beyond that the oldest are dropped.
const MAX_LINES: usize = 1000;

/// The level of the Python logger, in Python's numbers; 0 if the program does not log.
static LEVEL: AtomicU8 = AtomicU8::new(0);

static LINES: Mutex<VecDeque<LogLine>> = Mutex::new(VecDeque::new());

struct LogLine {
    level: u8,
    text: String,
}

/// Reads the level of the Python logger. Must be called before each request, because only then do
/// background threads know which lines to keep.
pub(crate) fn read_level(py: Python<'_>) {
    // A failing `logging` must not fail a request.
    let level = effective_level(py).unwrap_or_default();
    LEVEL.store(level, Ordering::Relaxed);
    if level > 0 {
        static INSTALLED: Once = Once::new();
        // It cannot fail: no other code uses this module's copy of `tracing`.
        INSTALLED.call_once(|| drop(tracing::subscriber::set_global_default(Collector)));
    }
}

/// The level of the logger, or 0 if the program has not imported `logging`.
fn effective_level(py: Python<'_>) -> PyResult<u8> {
    let modules = py.import(intern!(py, "sys"))?.getattr(intern!(py, "modules"))?;
    if !modules.contains(intern!(py, "logging"))? {
        return Ok(0);
    }
    let level = logger(py)?.call_method0(intern!(py, "getEffectiveLevel"))?;
    Ok(level.extract::<u32>()?.clamp(1, u8::MAX.into()).try_into().unwrap_or(u8::MAX))
}

fn logger(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    py.import(intern!(py, "logging"))?.call_method1(intern!(py, "getLogger"), (LOGGER,))
}

/// Delivers the queued lines to the Python logger.
///
/// # Errors
/// The exception that a log handler of the program raised.
pub(crate) fn deliver(py: Python<'_>) -> PyResult<()> {
    if LEVEL.load(Ordering::Relaxed) == 0 {
        return Ok(());
    }
    let lines = std::mem::take(&mut *LINES.lock().unwrap_or_else(PoisonError::into_inner));
    for LogLine { level, text } in lines {
        logger(py)?.call_method1(intern!(py, "log"), (level, "%s", text))?;
    }
    Ok(())
}

/// Queues the events of Keybearer's crates.
struct Collector;

impl Subscriber for Collector {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_keybearer_event(metadata) { Interest::sometimes() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let level = LEVEL.load(Ordering::Relaxed);
        is_keybearer_event(metadata) && level > 0 && in_python(*metadata.level()) >= level
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let line = LogLine {
            level: in_python(*event.metadata().level()),
            text: text.message + &text.fields,
        };
        let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == MAX_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Whether this is an event of a Keybearer crate. Other crates, such as the HTTP client, may log
/// the contents of messages.
fn is_keybearer_event(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && metadata.target().starts_with(LOGGER)
}

/// The level in Python's numbers.
const fn in_python(level: Level) -> u8 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    }
}

/// The message and the other fields, which follow it as `name=value`.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
