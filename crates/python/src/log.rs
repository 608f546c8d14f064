//! Log lines on their way to Python's `logging`, logger `keybearer`.
//!
//! They are written by whoever comes back to Python with a result: no thread of ours enters the
//! interpreter, and no line waits for it while something is locked.

use std::fmt::{Debug, Write as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, OnceLock};

use pyo3::prelude::*;
use pyo3::types::PyDict;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, set_global_default};
use tracing::{Event, Level, Metadata, Subscriber};

/// Lines that wait for somebody to come back. Further ones are lost.
const MOST_LINES: usize = 1000;

struct Line {
    level: u8,
    text: String,
}

static LINES: OnceLock<Mutex<Receiver<Line>>> = OnceLock::new();

/// Collects lines from now on, if the program has set `logging` up to show them. A program that
/// has not even imported it has not.
pub(crate) fn begin(py: Python<'_>) -> PyResult<()> {
    if LINES.get().is_some() {
        return Ok(());
    }
    let modules = py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?;
    if !modules.contains("logging")?
        || !logger(py)?.call_method1("isEnabledFor", (DEBUG,))?.is_truthy()?
    {
        return Ok(());
    }
    let (sender, receiver) = sync_channel(MOST_LINES);
    if LINES.set(Mutex::new(receiver)).is_ok() {
        // It fails only if it has been done, and this is the one place that does it.
        let _ = set_global_default(Collector(sender));
    }
    Ok(())
}

/// Gives Python the lines there are.
pub(crate) fn pass_on(py: Python<'_>) {
    // Whoever holds the lock gives them.
    let Some(Ok(lines)) = LINES.get().map(Mutex::try_lock) else { return };
    let lines: Vec<Line> = lines.try_iter().collect();
    for Line { level, text } in lines {
        let logged = logger(py).and_then(|it| it.call_method1("log", (level, "%s", text)));
        if let Err(error) = logged {
            error.write_unraisable(py, None);
        }
    }
}

fn logger(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    py.import("logging")?.call_method1("getLogger", ("keybearer",))
}

const DEBUG: u8 = 10;

/// The number of `logging`.
fn number(level: Level) -> u8 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        _ => DEBUG,
    }
}

/// Keeps our own lines, down to debug.
struct Collector(SyncSender<Line>);

impl Subscriber for Collector {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && *metadata.level() <= Level::DEBUG
            && metadata.target().starts_with("keybearer")
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let text = text.message + &text.fields;
        // A full channel loses the line, not the request.
        let _ = self.0.try_send(Line { level: number(*event.metadata().level()), text });
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value}"),
            name => write!(self.fields, " {name}={value}"),
        };
    }
}
