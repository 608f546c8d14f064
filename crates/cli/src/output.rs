//! Standard output: the answer and nothing else (invariant I10).

use std::io::{ErrorKind, Write};

use keybearer_core::{Error, Result};

/// Writes the answer.
pub(crate) fn text(answer: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(answer.as_bytes()).and_then(|()| stdout.flush()) {
        // A reader that stops reading, such as `head`, is not an error.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::internal("could not write to standard output").with_source(error))
        }
        _ => Ok(()),
    }
}

/// Writes the answer as indented JSON.
pub(crate) fn json(answer: &serde_json::Value) -> Result<()> {
    text(&format!("{answer:#}\n"))
}

/// Formats rows as aligned columns; the first row is the heading. Control characters are removed, so
/// that text from elsewhere cannot move the cursor or colour the terminal.
pub(crate) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let clean = |cell: &String| cell.chars().filter(|c| !c.is_control()).collect::<String>();
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(clean)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or_default());
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_control_characters_are_dropped() {
        let rows = [["A", "B"], ["long é", "x"], ["\u{1b}[31m", "y\n"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "A       B\nlong é  x\n[31m    y\n");
    }
}
