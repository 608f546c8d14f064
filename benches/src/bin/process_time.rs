//! Rows of whole processes: starts commands in turns and reports the fastest wall time of each.
//!
//! `process_time ROW ROUNDS NAME PROGRAM [ARGUMENT]... [-- NAME PROGRAM [ARGUMENT]...]...`. The
//! argument `@ECHO` becomes the path of a unix socket where this process sends every byte back.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use keybearer_bench::{Figure, Samples, report};

const ECHO: &str = "@ECHO";
/// Runs that only warm the caches of the disk.
const WARM_UP: usize = 2;

fn main() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let socket = dir.path().join("echo.sock");
    echo(&socket)?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [row, rounds, commands @ ..] = arguments.as_slice() else {
        bail!("ROW ROUNDS NAME PROGRAM... are needed")
    };
    let rounds: usize = rounds.parse()?;
    let mut subjects = commands
        .split(|argument| argument == "--")
        .map(|words| Subject::new(words, &socket))
        .collect::<Result<Vec<_>>>()?;
    for round in 0..WARM_UP + rounds {
        for subject in &mut subjects {
            let start = Instant::now();
            let status = subject.command.status();
            let elapsed = start.elapsed();
            ensure!(status?.success(), "{} failed", subject.name);
            if round >= WARM_UP {
                subject.samples.push(elapsed);
            }
        }
    }
    for Subject { name, samples, .. } in &subjects {
        let show = |what: &str, share| {
            let value = samples.quantile_micros(share) / 1000.0;
            report(&Figure { row, what, value, unit: "ms", n: samples.count() });
        };
        // The load of other programs can only add to a process's wall time.
        show(name, 0.0);
        show(&format!("{name}, median of all starts"), 0.5);
    }
    Ok(())
}

/// A command and the durations of its runs.
struct Subject {
    name: String,
    command: Command,
    samples: Samples,
}

impl Subject {
    fn new(words: &[String], socket: &Path) -> Result<Self> {
        let [name, program, arguments @ ..] = words else { bail!("NAME PROGRAM... are needed") };
        let mut command = Command::new(program);
        for argument in arguments {
            match argument.as_str() {
                ECHO => command.arg(socket),
                argument => command.arg(argument),
            };
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(Self { name: name.clone(), command, samples: Samples::default() })
    }
}

/// Sends every byte back until this process ends.
fn echo(socket: &Path) -> Result<()> {
    let listener = UnixListener::bind(socket).context("could not listen on a socket")?;
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut byte = [0];
            while stream.read(&mut byte).is_ok_and(|length| length == 1) {
                if stream.write_all(&byte).is_err() {
                    break;
                }
            }
        }
    });
    Ok(())
}
