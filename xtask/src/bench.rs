//! `bench`: the performance targets, each measured beside its peer in the same run.
//!
//! A bench is not a test: a missed target is reported, and the command succeeds. Keybearer and its
//! peer take turns, and medians are compared, because the speed of a machine changes by the minute.

mod figures;
mod machine;
mod rows;
mod table;

use crate::process::unless_interrupted;
use crate::tools::Repository;
use anyhow::{Result, bail};
use figures::Figures;
use machine::BenchMachine;
use rows::{ROWS, Row};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Measure one round instead of three: a first look, not a result
    #[arg(long)]
    quick: bool,
    /// Measure only this row of the table; can be repeated
    #[arg(long = "row", value_name = "NAME")]
    rows: Vec<String>,
}

pub(crate) async fn run(options: &Options) -> Result<()> {
    if cfg!(not(target_os = "linux")) {
        bail!("the bench measures the Linux broker; run it on Linux or in WSL");
    }
    if let Some(unknown) = options.rows.iter().find(|name| Row::named(name).is_none()) {
        let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        bail!("there is no row {unknown}; the rows are {}", names.join(", "));
    }
    let wanted = |row: &&Row| options.rows.is_empty() || options.rows.iter().any(|n| n == row.name);
    let rows: Vec<&Row> = ROWS.iter().filter(wanted).collect();
    let rounds = if options.quick { 1 } else { 3 };
    let mut machine = unless_interrupted(BenchMachine::prepare(Repository::here())).await?;
    let outcome = unless_interrupted(measure(&mut machine, &rows, rounds)).await;
    machine.stop().await;
    outcome
}

async fn measure(machine: &mut BenchMachine, rows: &[&Row], rounds: usize) -> Result<()> {
    let mut figures = Figures::default();
    let mut done = Vec::new();
    for row in rows {
        // Some measurements fill two rows.
        if done.contains(&row.measurement) {
            continue;
        }
        done.push(row.measurement);
        println!("measuring {}", row.name);
        if let Err(error) = machine.measure(row.measurement, rounds, &mut figures).await {
            figures.failed(row.measurement, format!("{error:#}"));
        }
    }
    table::print(rows, &figures, rounds);
    Ok(())
}
