//! Reports what is found and what will be used, with a hint for every problem.

#[cfg(target_os = "linux")]
mod broker;
mod browser;
mod finding;
#[cfg(target_os = "linux")]
mod installed;
#[cfg_attr(not(target_os = "linux"), path = "machine_elsewhere.rs")]
mod machine;
mod network;
mod sign_in;
#[cfg(target_os = "linux")]
mod storage;
#[cfg(target_os = "linux")]
mod wsl;

use std::process::ExitCode;
#[cfg(target_os = "linux")]
use std::time::Duration;

use clap::Args;
use finding::{Finding, Level};
#[cfg(target_os = "linux")]
use keybearer_client::WslProxyLocator;
use keybearer_core::{Result, SignInMethod};
use keybearer_host::{Environment, Paths};
use serde_json::json;

use super::below_help;
use crate::arguments::TableFormat;
use crate::exit::Exit;
use crate::failure::ErrorFormat;
use crate::output;
use crate::session::run;
use crate::terminal::sign_in_options;

const EXAMPLE: &str = "\
Example:
  keybearer doctor --output json

Exits with code 1 if there is an error.";

/// Diagnose problems and suggest fixes
///
/// Starts nothing and changes nothing.
#[derive(Args, Debug)]
#[command(after_help = below_help(EXAMPLE))]
pub(crate) struct Doctor {
    /// What to print
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    output: TableFormat,
}

impl Doctor {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let environment = Environment::current();
        let findings = run(async { Ok(examine(&environment).await) })?;
        let wrong = findings.iter().any(|finding| finding.level == Level::Error);
        match self.output {
            TableFormat::Json => output::json(&json!({ "ok": !wrong, "findings": findings }))?,
            TableFormat::Table => output::text(&describe(&findings))?,
        }
        Ok(if wrong { Exit::Failed } else { Exit::Done }.into())
    }

    pub(crate) const fn error_format(&self) -> ErrorFormat {
        self.output.error_format()
    }
}

/// How long a broker, a bus or a program may take to answer.
#[cfg(target_os = "linux")]
const LIMIT: Duration = Duration::from_secs(2);

async fn examine(environment: &Environment) -> Vec<Finding> {
    let mut findings = Vec::new();
    match Paths::current(environment) {
        Err(error) => findings.push(Finding::of_error("paths", Level::Error, &error)),
        Ok(paths) => {
            machine::examine(&paths, environment, &mut findings).await;
            network::examine_settings(&paths, environment, &mut findings);
        }
    }
    browser::examine(environment, &mut findings);
    #[cfg(target_os = "linux")]
    findings.extend(wsl::examine(environment, &WslProxyLocator::default()).await);
    network::examine(environment, &mut findings);
    let caller = sign_in_options(SignInMethod::Auto).abilities();
    findings.push(sign_in::examine(&caller, sign_in::settings(environment).as_ref()));
    findings
}

fn describe(findings: &[Finding]) -> String {
    let mut text = String::new();
    let width = findings.iter().map(|finding| finding.about.len()).max().unwrap_or_default();
    for Finding { level, about, found, hint } in findings {
        let found: String = found.chars().filter(|c| !c.is_control()).collect();
        text.push_str(&format!("{:7}  {about:width$}  {found}\n", level.as_str()));
        if let Some(hint) = hint {
            text.push_str(&format!("{:7}  {:width$}  hint: {hint}\n", "", ""));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_is_a_line_and_every_problem_has_its_next_step_below() {
        let findings = [
            Finding::new(Level::Ok, "socket", "there"),
            Finding::new(Level::Error, "key", "gone\u{1b}").with_hint("bring it back"),
        ];
        let expected =
            "ok       socket  there\nerror    key     gone\n                 hint: bring it back\n";
        assert_eq!(describe(&findings), expected);
    }
}
