//! Errors that say what to do next.

use anyhow::{Error, Result};
use std::fmt;
use std::process::ExitCode;

/// A step that failed, and the next thing for the person to try.
#[derive(Debug)]
pub(crate) struct StepFailed {
    step: String,
    hint: String,
}

impl fmt::Display for StepFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step failed: {}", self.step)
    }
}

/// A program the machine lacks and that could not be installed. `test` may skip a section for it,
/// except in CI.
#[derive(Debug)]
pub(crate) struct MissingTool {
    /// What is missing and how to get it.
    pub(crate) advice: String,
}

impl fmt::Display for MissingTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.advice)
    }
}

impl std::error::Error for MissingTool {}

/// The person pressed Ctrl-C, or the process was asked to end.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// Names the step an error ended, and the next thing to try.
pub(crate) trait OrHint<T> {
    fn or_hint(self, step: &str, hint: &str) -> Result<T>;
}

impl<T, E: Into<Error>> OrHint<T> for std::result::Result<T, E> {
    fn or_hint(self, step: &str, hint: &str) -> Result<T> {
        self.map_err(|error| {
            let failed = StepFailed { step: step.to_owned(), hint: hint.to_owned() };
            error.into().context(failed)
        })
    }
}

/// Prints what went wrong with the hint of the innermost step, and picks the exit code.
pub(crate) fn report(outcome: Result<()>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    eprintln!("error: {error:#}");
    if let Some(failed) = error.downcast_ref::<StepFailed>() {
        eprintln!("hint: {}", failed.hint);
    }
    if error.downcast_ref::<Interrupted>().is_some() {
        ExitCode::from(130)
    } else {
        ExitCode::FAILURE
    }
}
