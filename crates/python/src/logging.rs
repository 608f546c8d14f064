//! What the credential logs, told to Python's `logging` as the logger `keybearer`.
//!
//! The threads that do the work never enter the interpreter, so their lines wait in a queue until a
//! thread of the program comes by: every 50 ms while it waits, and when it takes the result. The
//! program decides what it wants to read; `enable_support_logging` only adds whom lines are about.

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

/// Lines nobody came by for; the oldest are given up.
const LONGEST: usize = 1000;

/// The least important level that is wanted, as Python counts; 0 for none.
static WANTED: AtomicU8 = AtomicU8::new(0);

static LINES: Mutex<VecDeque<LogLine>> = Mutex::new(VecDeque::new());

struct LogLine {
    level: u8,
    text: String,
}

/// Finds out what the program wants to read. Called before something is done that is logged.
pub(crate) fn listen(py: Python<'_>) {
    // A failing `logging` must not fail a request.
    let wanted = effective_level(py).unwrap_or_default();
    WANTED.store(wanted, Ordering::Relaxed);
    if wanted > 0 {
        static INSTALLED: Once = Once::new();
        // Nobody else can have set one: this module has `tracing` for itself.
        INSTALLED.call_once(|| drop(tracing::subscriber::set_global_default(Collector)));
    }
}

/// The level of the logger, or nothing as long as the program has not imported `logging`.
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

/// Hands over the lines that wait.
///
/// # Errors
/// What a handler of the program raises, as `logging` itself would pass it on.
pub(crate) fn tell(py: Python<'_>) -> PyResult<()> {
    if WANTED.load(Ordering::Relaxed) == 0 {
        return Ok(());
    }
    let lines = std::mem::take(&mut *LINES.lock().unwrap_or_else(PoisonError::into_inner));
    for LogLine { level, text } in lines {
        logger(py)?.call_method1(intern!(py, "log"), (level, "%s", text))?;
    }
    Ok(())
}

/// Keeps the lines of our own crates.
struct Collector;

impl Subscriber for Collector {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_ours(metadata) { Interest::sometimes() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let wanted = WANTED.load(Ordering::Relaxed);
        is_ours(metadata) && wanted > 0 && in_python(*metadata.level()) >= wanted
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let line = LogLine {
            level: in_python(*event.metadata().level()),
            text: text.message + &text.fields,
        };
        let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LONGEST {
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

/// Events only, and only ours: what is below may log what it carries.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && metadata.target().starts_with(LOGGER)
}

const fn in_python(level: Level) -> u8 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    }
}

/// The message, and after it the fields as `name=value`.
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
