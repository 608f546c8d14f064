use keybearer_host::{BrowserRoute, Environment};

use super::finding::{Finding, Level};

/// How a sign-in would be shown, as the broker decides it in this environment.
pub(super) fn examine(environment: &Environment) -> Finding {
    match BrowserRoute::find(environment) {
        Ok(BrowserRoute::System) => {
            Finding::new(Level::Ok, "browser", "the system's default browser")
        }
        Ok(BrowserRoute::Commands(commands)) => {
            let programs = commands.iter().map(|command| command.program.as_str());
            let found = format!("first of: {}", programs.collect::<Vec<_>>().join(", "));
            Finding::new(Level::Ok, "browser", found)
        }
        Err(error) => Finding::of_error("browser", Level::Warning, &error),
    }
}

/// Whether this is Linux inside Windows.
pub(super) fn examine_wsl(environment: &Environment) -> Option<Finding> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let wsl = is_wsl(&release) || environment.has("WSL_DISTRO_NAME");
    wsl.then(|| Finding::new(Level::Info, "wsl", "this is the Windows Subsystem for Linux"))
}

fn is_wsl(release: &str) -> bool {
    release.to_ascii_lowercase().contains("microsoft")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_is_known_by_the_name_of_its_kernel() {
        assert!(is_wsl("5.15.167.4-microsoft-standard-WSL2\n"));
        assert!(is_wsl("4.4.0-19041-Microsoft"));
        assert!(!is_wsl("6.12.8-amd64"));
    }

    #[test]
    fn without_a_display_the_finding_says_what_to_do() {
        let finding = examine(&Environment::default());
        assert_eq!(finding.level, Level::Warning);
        assert!(finding.hint.is_some());
        let named = Environment::from_pairs([("BROWSER", "my-browser --new")]);
        assert_eq!(examine(&named).found, "first of: my-browser");
    }
}
