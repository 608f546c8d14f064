use keybearer_host::{AvailableUi, BrowserRoute, Environment, Ui};
use url::Url;

use super::finding::{Finding, Level};

/// The redirect URI that Microsoft recommends for apps on Linux.
const NATIVE_CLIENT: &str = "https://login.microsoftonline.com/common/oauth2/nativeclient";

/// The user interface that the broker would use in this environment.
pub(super) fn examine(environment: &Environment, findings: &mut Vec<Finding>) {
    let available = AvailableUi::of(environment);
    findings.push(browser(&available));
    findings.push(native_client(&available));
}

/// For apps with a loopback redirect URI or without one.
fn browser(available: &AvailableUi) -> Finding {
    match &available.browser {
        Ok(BrowserRoute::System) => {
            Finding::new(Level::Ok, "browser", "the system's default browser")
        }
        Ok(BrowserRoute::Commands(commands)) => {
            let programs = commands.iter().map(|command| command.program.as_str());
            let found = format!("first of: {}", programs.collect::<Vec<_>>().join(", "));
            Finding::new(Level::Ok, "browser", found)
        }
        Err(error) => Finding::of_error("browser", Level::Warning, error),
    }
}

/// For apps whose only redirect URI is the native-client address.
fn native_client(available: &AvailableUi) -> Finding {
    const ABOUT: &str = "sign-in window";
    let redirect_uri = Url::parse(NATIVE_CLIENT).ok();
    let best = Ui::order(redirect_uri.as_ref(), available).into_iter().next();
    match (best, &available.window) {
        (Some(Ui::Window), Ok(program)) => {
            Finding::new(Level::Ok, ABOUT, program.display().to_string())
        }
        (_, Err(error)) => Finding::of_error(ABOUT, Level::Info, error),
        (_, Ok(_)) => Finding::new(Level::Info, ABOUT, "not used"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examined(pairs: &[(&str, &str)]) -> [Finding; 2] {
        let mut findings = Vec::new();
        examine(&Environment::from_pairs(pairs.iter().copied()), &mut findings);
        findings.try_into().unwrap()
    }

    #[test]
    fn without_a_display_the_finding_says_what_to_do() {
        let [browser, window] = examined(&[]);
        assert_eq!((browser.level, window.level), (Level::Warning, Level::Info));
        assert!(browser.hint.is_some() && window.hint.is_some());
        let [browser, _] = examined(&[("BROWSER", "my-browser --new")]);
        assert_eq!(browser.found, "first of: my-browser");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_program_of_the_sign_in_window_is_named() {
        let [_, window] = examined(&[("DISPLAY", ":0"), ("KEYBEARER_WINDOW_BROWSER", "/bin/sh")]);
        assert_eq!((window.level, window.found.as_str()), (Level::Ok, "/bin/sh"));
        let [_, window] = examined(&[("DISPLAY", ":0"), ("KEYBEARER_WINDOW_BROWSER", "/gone")]);
        assert!(window.found.contains("/gone") && window.hint.is_some(), "{window:?}");
    }
}
