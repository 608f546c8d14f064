use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

/// One measured number, in the format that `xtask` reads.
#[derive(Clone, Debug)]
pub struct Figure<'a> {
    /// The row of the table.
    pub row: &'a str,
    /// Which value of the row: `ours`, `peer`, or a remark.
    pub what: &'a str,
    /// The value.
    pub value: f64,
    /// The unit.
    pub unit: &'a str,
    /// The number of single measurements behind it.
    pub n: usize,
}

/// Prints a figure as one JSON line.
pub fn report(figure: &Figure<'_>) {
    println!(
        "{}",
        json!({
            "row": figure.row, "what": figure.what, "value": figure.value, "unit": figure.unit,
            "n": figure.n,
        })
    );
}

/// Measured durations of the same operation.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// Adds one.
    pub fn push(&mut self, duration: Duration) {
        self.0.push(duration);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The duration that this share of the samples does not exceed, in microseconds; `0.5` is the
    /// median. Zero without samples.
    #[must_use]
    pub fn quantile_micros(&self, share: f64) -> f64 {
        let mut micros: Vec<f64> = self.0.iter().map(|d| d.as_secs_f64() * 1e6).collect();
        quantile(&mut micros, share)
    }
}

/// The processor time this thread has used.
#[must_use]
pub fn thread_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

/// The resident memory of a process, in MB.
///
/// # Errors
/// If the process has ended.
pub fn resident_megabytes(process: u32) -> Result<f64> {
    let path = Path::new("/proc").join(process.to_string()).join("status");
    let status = std::fs::read_to_string(path)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes: f64 =
        kilobytes.context("the kernel did not report the resident size")?.parse()?;
    Ok(kilobytes / 1024.0)
}

/// The middle value; zero if there is none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    quantile(&mut values.to_vec(), 0.5)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "an index below the length"
)]
fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let index = (values.len().saturating_sub(1) as f64 * share).round() as usize;
    values.get(index).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_taken_from_the_sorted_samples() {
        let mut samples = Samples::default();
        for micros in [5, 1, 4, 2, 3] {
            samples.push(Duration::from_micros(micros));
        }
        assert!((samples.quantile_micros(0.5) - 3.0).abs() < 1e-9);
        assert!((samples.quantile_micros(1.0) - 5.0).abs() < 1e-9);
        assert!(median(&[]).abs() < 1e-9);
    }
}
