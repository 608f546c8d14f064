//! The numbers that the programs of `benches/` print, one JSON object a line.

use super::rows::Measurement;
use anyhow::{Context as _, Result};
use serde::Deserialize;

/// The numbers of all rounds, in the order in which they were first seen.
#[derive(Debug, Default)]
pub(super) struct Figures {
    series: Vec<Series>,
    failures: Vec<(Measurement, String)>,
}

/// The same number from several rounds.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) row: String,
    pub(super) what: String,
    pub(super) unit: String,
    values: Vec<f64>,
}

#[derive(Deserialize)]
struct FigureRow {
    row: String,
    what: String,
    value: f64,
    unit: String,
}

impl Series {
    /// The median of the rounds.
    pub(super) fn median(&self) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }
}

impl Figures {
    /// Adds the numbers that a program printed.
    pub(super) fn read(&mut self, output: &str) -> Result<()> {
        for text in output.lines().filter(|line| line.starts_with('{')) {
            let line: FigureRow = serde_json::from_str(text)
                .with_context(|| format!("a measuring program printed {text}"))?;
            let same = |series: &&mut Series| series.row == line.row && series.what == line.what;
            match self.series.iter_mut().find(same) {
                Some(series) => series.values.push(line.value),
                None => self.series.push(Series {
                    row: line.row,
                    what: line.what,
                    unit: line.unit,
                    values: vec![line.value],
                }),
            }
        }
        Ok(())
    }

    /// Records why a measurement failed.
    pub(super) fn failed(&mut self, measurement: Measurement, reason: String) {
        self.failures.push((measurement, reason));
    }

    pub(super) fn failure(&self, measurement: Measurement) -> Option<&str> {
        let mut failures = self.failures.iter();
        failures.find(|(failed, _)| *failed == measurement).map(|(_, reason)| reason.as_str())
    }

    /// A number of a row, minus the number `bare` if that row has one.
    pub(super) fn get(&self, row: &str, what: &str) -> Option<(f64, &str)> {
        let find = |what: &str| self.of(row).find(|series| series.what == what);
        let series = find(what)?;
        let bare = find("bare").map_or(0.0, Series::median);
        Some((series.median() - bare, &series.unit))
    }

    /// Every number of a row.
    pub(super) fn of(&self, row: &str) -> impl Iterator<Item = &Series> {
        self.series.iter().filter(move |series| series.row == row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_median_of_its_rounds_above_the_bare_one() {
        let line = |what: &str, value: u32| {
            format!(r#"{{"row":"import","what":"{what}","value":{value},"unit":"ms","n":1}}"#)
        };
        let mut figures = Figures::default();
        for value in [15, 90, 12] {
            figures.read(&line("ours", value)).unwrap();
        }
        assert_eq!(figures.get("import", "ours"), Some((15.0, "ms")));
        figures.read(&format!("a remark\n{}", line("bare", 10))).unwrap();
        assert_eq!(figures.get("import", "ours"), Some((5.0, "ms")));
        assert_eq!(figures.get("import", "peer"), None);
    }
}
