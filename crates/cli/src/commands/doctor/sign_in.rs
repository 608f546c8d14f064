use keybearer_core::Abilities;
use keybearer_engine::FORWARDED_PORT;
use keybearer_host::{Environment, Settings};

use super::finding::{Finding, Level};

/// How a sign-in from this terminal would prompt the person.
pub(super) fn examine(caller: &Abilities, settings: Option<&Settings>) -> Finding {
    const ABOUT: &str = "sign-in";
    let port = settings.and_then(|settings| settings.loopback_port).unwrap_or(FORWARDED_PORT);
    match (caller.browser, &caller.terminal) {
        (true, _) => Finding::new(Level::Ok, ABOUT, "opens the browser of this desktop"),
        (false, Some(terminal)) => match &terminal.ssh {
            Some(ssh) => {
                let command = format!("ssh -N -L {port}:localhost:{port} {}", ssh.destination);
                let found = "shows an address to open in a browser elsewhere; the answer is pasted \
                             here, or comes back through a forwarded port";
                Finding::new(Level::Ok, ABOUT, found)
                    .with_hint(format!("run `{command}` on the machine with the browser"))
            }
            None => Finding::new(
                Level::Ok,
                ABOUT,
                "shows an address to open in a browser elsewhere; the answer is pasted here",
            ),
        },
        (false, None) => Finding::new(
            Level::Info,
            ABOUT,
            "not possible here: there is neither a display nor a terminal",
        )
        .with_hint("run `keybearer login` in a terminal"),
    }
}

/// The settings, if they can be read; otherwise another finding reports the error.
pub(super) fn settings(environment: &Environment) -> Option<Settings> {
    let paths = keybearer_host::Paths::current(environment).ok()?;
    Settings::load(&paths.config_file, environment).ok()
}

#[cfg(test)]
mod tests {
    use keybearer_core::{SshSession, Terminal};

    use super::*;

    #[test]
    fn the_finding_says_how_a_person_would_be_asked() {
        let ssh = SshSession { destination: "dev@10.0.0.5".into() };
        let settings = Settings { loopback_port: Some(8123), ..Settings::default() };
        for (browser, terminal, found, hint) in [
            (true, None, "opens the browser", None),
            (false, Some(None), "pasted here", None),
            (
                false,
                Some(Some(ssh)),
                "forwarded port",
                Some("-L 8123:localhost:8123 dev@10.0.0.5`"),
            ),
            (false, None, "not possible here", Some("in a terminal")),
        ] {
            let caller = Abilities { browser, terminal: terminal.map(|ssh| Terminal { ssh }) };
            let finding = examine(&caller, Some(&settings));
            assert!(finding.found.contains(found), "{finding:?}");
            assert_eq!(hint.is_some(), finding.hint.is_some(), "{finding:?}");
            assert!(finding.hint.unwrap_or_default().contains(hint.unwrap_or_default()));
        }
    }
}
