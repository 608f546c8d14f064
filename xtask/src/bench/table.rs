//! The table of results.

use super::figures::Figures;
use super::rows::{Row, Target};

/// Prints the table and, below it, the other numbers.
pub(super) fn print(rows: &[&Row], figures: &Figures, rounds: usize) {
    println!("\n| row | ours | peer | ratio | target | met? |\n|---|---|---|---|---|---|");
    for row in rows {
        println!("{}", line(row, figures));
    }
    println!("\nAlso measured:");
    for row in rows {
        let remarks = figures.of(row.name).filter(|s| s.what != "ours" && s.what != "peer");
        for series in remarks {
            println!("  {}: {}: {}", row.name, series.what, shown(series.median(), &series.unit));
        }
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "\nMedians of {rounds} round(s), ours and peer in turns; `keybearer` built with `release`, \
         everything else with `measure` (the same without link-time optimisation); {cores} processors, load average at the end {}.",
        load.split(' ').next().unwrap_or("unknown")
    );
}

fn line(row: &Row, figures: &Figures) -> String {
    let title = format!("`{}` {}", row.name, row.title);
    let target = target(row.target);
    let Some((ours, unit)) = figures.get(row.name, "ours") else {
        let reason = figures.failure(row.measurement).unwrap_or("the program printed no number");
        let reason = reason.lines().next().unwrap_or_default();
        return format!("| {title} | not measured: {reason} | {} | - | {target} | - |", row.peer);
    };
    let peer = figures.get(row.name, "peer");
    let ratio = peer.map(|(peer, _)| ours / peer);
    let met = match (row.target, ratio) {
        (Target::Below(limit, _), _) => ours < limit,
        (Target::RatioAtMost(limit), Some(ratio)) => ratio <= limit,
        (Target::RatioAtLeast(limit), Some(ratio)) => ratio >= limit,
        (_, None) => false,
    };
    let peer = peer.map_or_else(
        || row.peer.to_owned(),
        |(peer, unit)| format!("{} ({})", shown(peer, unit), row.peer),
    );
    let ratio = ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}"));
    let met = if met { "yes" } else { "NO" };
    format!("| {title} | {} | {peer} | {ratio} | {target} | {met} |", shown(ours, unit))
}

fn target(target: Target) -> String {
    match target {
        Target::Below(limit, unit) => format!("< {}", shown(limit, unit)),
        Target::RatioAtMost(limit) => format!("ratio ≤ {limit}"),
        Target::RatioAtLeast(limit) => format!("ratio ≥ {limit}"),
    }
}

fn shown(value: f64, unit: &str) -> String {
    match unit {
        "ns" if value >= 1000.0 => format!("{:.2} µs", value / 1000.0),
        "ns" | "/s" | "B" => format!("{value:.0} {unit}"),
        "ratio" => format!("{value:.2}"),
        _ => format!("{value:.1} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_target_and_a_missing_number_are_said_plainly() {
        let row = Row::named("hits-bus").unwrap();
        let mut figures = Figures::default();
        assert!(line(row, &figures).contains("not measured"));
        for (what, value) in [("ours", 60), ("peer", 100)] {
            let text =
                format!(r#"{{"row":"hits-bus","what":"{what}","value":{value},"unit":"/s"}}"#);
            figures.read(&text).unwrap();
        }
        let line = line(row, &figures);
        assert!(line.contains("| 0.600 | ratio ≥ 0.7 | NO |"), "{line}");
    }
}
