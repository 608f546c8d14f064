//! Errors with the next step for the person.

use anyhow::{Error, Result};
use std::fmt;
use std::process::ExitCode;

/// A step that failed, and the next step for the person.
#[derive(Debug)]
pub(crate) struct StepFailed {
    /// A verb and its object: "build the programs".
    step: String,
    hint: String,
}

impl fmt::Display for StepFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {}", self.step)
    }
}

/// A program is missing and could not be installed. `test` skips the section that needs it, except
/// in CI.
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

/// The person pressed Ctrl-C, or the process received a termination signal.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// Adds the step that failed ("build the programs") and a hint to an error.
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

/// Prints the error with the hint of the innermost step, and returns the exit code.
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
