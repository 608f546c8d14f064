use std::path::{Path, PathBuf};

use keybearer_core::Result;

use crate::available_ui::no_window;
use crate::environment::Environment;

/// The variable with the browser to use, as a path or a program on `PATH`.
const VARIABLE: &str = "KEYBEARER_WINDOW_BROWSER";

/// In the order of preference: the most common browsers first, and last Keybearer's own window on
/// WebKitGTK (`crates/webkit-window`), which understands the same commands.
const PROGRAMS: [&str; 8] = [
    "google-chrome-stable",
    "google-chrome",
    "chromium",
    "chromium-browser",
    "microsoft-edge-stable",
    "microsoft-edge",
    "chrome",
    "keybearer-webkit-window",
];

/// A browser that can serve as a sign-in window.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct WindowBrowser {
    pub(crate) program: PathBuf,
}

impl WindowBrowser {
    /// The browser in `KEYBEARER_WINDOW_BROWSER`, else the first on `PATH` that can be used.
    ///
    /// # Errors
    /// `Unavailable(UserInterface)`, with the next step as hint.
    pub(crate) fn find(environment: &Environment) -> Result<Self> {
        Self::among(environment, &resolve, is_root())
    }

    /// `resolve` follows links to the program; `None` if there is none.
    fn among(
        environment: &Environment,
        resolve: &dyn Fn(&Path) -> Option<PathBuf>,
        root: bool,
    ) -> Result<Self> {
        let path = environment.value("PATH").unwrap_or_default();
        let on_path = |name: &str| {
            let mut places = std::env::split_paths(path).map(|directory| directory.join(name));
            places.find(|place| place.is_absolute() && resolve(place).is_some())
        };
        if let Some(named) = environment.text(VARIABLE) {
            let program = if named.contains('/') {
                Some(PathBuf::from(named)).filter(|program| resolve(program).is_some())
            } else {
                on_path(named)
            };
            let program = program.ok_or_else(|| {
                no_window(&format!("{VARIABLE} names '{named}', which is not there"))
            })?;
            return Ok(Self { program });
        }
        if root {
            return Err(no_window("browsers have no sandbox when they run as root")
                .with_hint("sign in as an ordinary user"));
        }
        let usable = |program: &PathBuf| {
            // A snap cannot enter the broker's state directory.
            resolve(program).is_some_and(|target| target.file_name() != Some("snap".as_ref()))
                && !(program.ends_with("chromium-browser")
                    && resolve(Path::new("/snap/bin/chromium")).is_some())
        };
        let mut programs = PROGRAMS.into_iter().filter_map(on_path).filter(usable);
        let program = programs.next().ok_or_else(|| no_window("no suitable browser is installed"));
        Ok(Self { program: program? })
    }
}

fn resolve(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok().filter(|target| target.is_file())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pairs: &[(&str, &str)], installed: &[(&str, &str)], root: bool) -> Option<String> {
        let environment = Environment::from_pairs(pairs.iter().copied());
        let resolve = |path: &Path| {
            let known = installed.iter().find(|(name, _)| Path::new(name) == path);
            known.map(|(_, target)| PathBuf::from(target))
        };
        match WindowBrowser::among(&environment, &resolve, root) {
            Ok(browser) => Some(browser.program.display().to_string()),
            Err(error) => {
                assert!(error.hint().is_some(), "{error}");
                None
            }
        }
    }

    #[test]
    fn the_browser_is_the_one_that_is_named_else_the_first_that_can_be_used() {
        let path = ("PATH", "relative:/a:/b");
        let edge = ("/b/microsoft-edge", "/opt/edge");
        let chromium = ("/b/chromium", "/b/chromium");
        let snap = ("/a/chromium", "/usr/bin/snap");
        let wrapper = ("/b/chromium-browser", "/b/chromium-browser");
        let store = ("/snap/bin/chromium", "/usr/bin/snap");
        let own = ("/own/browser", "/own/browser");
        let webkit = ("/a/keybearer-webkit-window", "/a/keybearer-webkit-window");
        for (pairs, installed, root, expected) in [
            (vec![path], vec![edge, chromium], false, Some("/b/chromium")),
            (vec![path], vec![edge], false, Some("/b/microsoft-edge")),
            (vec![path], vec![snap, edge], false, Some("/b/microsoft-edge")),
            (vec![path], vec![wrapper], false, Some("/b/chromium-browser")),
            (vec![path], vec![wrapper, store], false, None),
            (vec![path], vec![webkit, edge], false, Some("/b/microsoft-edge")),
            (vec![path], vec![snap, webkit], false, Some(webkit.0)),
            (vec![path], vec![], false, None),
            (vec![], vec![chromium], false, None),
            (vec![path], vec![chromium], true, None),
            (vec![path, (VARIABLE, "/own/browser")], vec![chromium, own], true, Some(own.0)),
            (vec![path, (VARIABLE, "microsoft-edge")], vec![chromium, edge], false, Some(edge.0)),
            (vec![path, (VARIABLE, "/gone")], vec![chromium], false, None),
        ] {
            assert_eq!(found(&pairs, &installed, root).as_deref(), expected, "{pairs:?}");
        }
    }
}
