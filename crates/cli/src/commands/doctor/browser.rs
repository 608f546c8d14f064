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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_display_the_finding_says_what_to_do() {
        let finding = examine(&Environment::default());
        assert_eq!(finding.level, Level::Warning);
        assert!(finding.hint.is_some());
        let named = Environment::from_pairs([("BROWSER", "my-browser --new")]);
        assert_eq!(examine(&named).found, "first of: my-browser");
    }
}
