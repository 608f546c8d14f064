//! Counts of tests, read from the output of test programs.

/// Tests that ran.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

impl Tally {
    pub(crate) const PASSED: Self = Self { passed: 1, failed: 0 };
    pub(crate) const FAILED: Self = Self { passed: 0, failed: 1 };

    pub(crate) const fn and(self, other: Self) -> Self {
        Self { passed: self.passed + other.passed, failed: self.failed + other.failed }
    }

    /// `test result: ok. 3 passed; 0 failed; ...`, once for each test program.
    pub(crate) fn of_cargo(stdout: &str) -> Self {
        let results = stdout.lines().filter(|line| line.starts_with("test result:"));
        results.map(of_words).fold(Self::default(), Self::and)
    }

    /// `1 failed, 2 passed, 1 error in 0.5s`, on the last line.
    pub(crate) fn of_pytest(stdout: &str) -> Self {
        stdout.lines().rev().find(|line| line.contains(" in ")).map(of_words).unwrap_or_default()
    }

    /// `# pass 3` and `# fail 0`; the mark depends on the reporter.
    pub(crate) fn of_node(stdout: &str) -> Self {
        let count = |name| {
            let words =
                stdout.lines().rev().map(|line| line.split_whitespace().collect::<Vec<_>>());
            let mut found = words.filter_map(|words| match words.as_slice() {
                ["#" | "ℹ", word, number] if *word == name => number.parse().ok(),
                _ => None,
            });
            found.next().unwrap_or(0)
        };
        Self { passed: count("pass"), failed: count("fail") + count("cancelled") }
    }
}

/// Reads numbers that are followed by what they count.
fn of_words(line: &str) -> Tally {
    let words: Vec<&str> = line
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let mut tally = Tally::default();
    for pair in words.windows(2) {
        let Ok(number) = pair[0].parse::<usize>() else { continue };
        match pair[1] {
            "passed" => tally.passed += number,
            "failed" | "error" | "errors" => tally.failed += number,
            _ => {}
        }
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_reports_once_for_each_program() {
        let stdout = "running 2 tests\n\
            test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
            test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n";
        assert_eq!(Tally::of_cargo(stdout), Tally { passed: 5, failed: 1 });
    }

    #[test]
    fn pytest_counts_errors_as_failures() {
        let stdout =
            "FAILED x.py::a - 3 passed\n== 1 failed, 12 passed, 3 skipped, 1 error in 0.52s ==\n";
        assert_eq!(Tally::of_pytest(stdout), Tally { passed: 12, failed: 2 });
        assert_eq!(Tally::of_pytest("7 passed in 1.00s (0:00:01)"), Tally { passed: 7, failed: 0 });
        assert_eq!(Tally::of_pytest("no tests ran in 0.01s"), Tally::default());
    }

    #[test]
    fn node_counts_with_either_reporter() {
        assert_eq!(
            Tally::of_node("# tests 3\n# pass 2\n# fail 1\n# cancelled 0\n"),
            Tally { passed: 2, failed: 1 }
        );
        assert_eq!(
            Tally::of_node("ℹ tests 3\nℹ pass 3\nℹ fail 0\nℹ cancelled 0\n"),
            Tally { passed: 3, failed: 0 }
        );
    }
}
