use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use keybearer_core::{Error, Missing, Result};
use tokio::sync::oneshot;
use url::Url;

use crate::environment::Environment;

/// A browser that fails exits within this time; a later exit means that the person closed it.
const EARLY_EXIT_WINDOW: Duration = Duration::from_secs(5);
/// Separates the commands of `$BROWSER`. Windows paths contain a colon.
const SEPARATOR: char = if cfg!(windows) { ';' } else { ':' };
const TEXT_MODE: [&str; 7] = ["w3m", "lynx", "links", "links2", "elinks", "www-browser", "browsh"];

/// Opens web pages for a person.
#[async_trait]
pub trait BrowserLauncher: Send + Sync + fmt::Debug {
    /// Checks that a page could be opened, without opening one.
    ///
    /// # Errors
    /// `Unavailable(UserInterface)`, with the alternative as hint.
    fn check(&self) -> Result<()>;

    /// Opens a page.
    ///
    /// # Errors
    /// `Unavailable(UserInterface)` if no browser could be started.
    async fn open(&self, url: &Url) -> Result<Launch>;
}

/// A browser that was started, and may still fail.
#[derive(Debug, Default)]
pub struct Launch(Option<oneshot::Receiver<Error>>);

impl Launch {
    /// A start that is still under way, and may fail.
    pub(crate) fn watched(start: impl Future<Output = Result<()>> + Send + 'static) -> Self {
        let (mut failure, launch) = oneshot::channel();
        tokio::spawn(async move {
            tokio::select! {
                () = failure.closed() => {}
                outcome = start => drop(outcome.map_err(|error| failure.send(error))),
            }
        });
        Self(Some(launch))
    }

    /// Waits until the browser has opened the page, or has run too long to be a failure.
    ///
    /// # Errors
    /// `Unavailable(UserInterface)` if it failed.
    pub async fn settled(mut self) -> Result<()> {
        let Some(failure) = self.0.take() else { return Ok(()) };
        match tokio::time::timeout(EARLY_EXIT_WINDOW, failure).await {
            Ok(Ok(error)) => Err(error),
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    }

    /// Waits until it is known that no page was opened; forever if one was.
    ///
    /// Cancel safe.
    pub async fn failed(&mut self) -> Error {
        if let Some(failure) = &mut self.0 {
            let failure = failure.await;
            self.0 = None;
            if let Ok(error) = failure {
                return error;
            }
        }
        std::future::pending().await
    }
}

/// How this process opens a page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BrowserRoute {
    /// Tries these commands in turn, until one starts.
    Commands(Vec<BrowserCommand>),
    /// The operating system's default browser.
    System,
}

/// A program and its arguments; `%s` is replaced by the URL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrowserCommand {
    /// The program.
    pub program: String,
    /// Its arguments; without a `%s`, the URL is appended.
    pub arguments: Vec<String>,
}

impl BrowserRoute {
    /// Finds the browser of this environment: the commands of `$BROWSER` (separated by `:`, on
    /// Windows by `;`), then those of the desktop if there is a display. Text-mode browsers are left
    /// out: they cannot run the provider's pages, and would take over the terminal.
    ///
    /// # Errors
    /// `Unavailable(UserInterface)`, with the alternative as hint.
    pub fn find(environment: &Environment) -> Result<Self> {
        let listed = environment.text("BROWSER").unwrap_or_default().split(SEPARATOR);
        let mut commands: Vec<BrowserCommand> =
            listed.filter_map(BrowserCommand::parse).filter(|c| !c.is_text_mode()).collect();
        if !cfg!(target_os = "linux") {
            return Ok(if commands.is_empty() { Self::System } else { Self::Commands(commands) });
        }
        let wsl = environment.has("WSL_INTEROP") || environment.has("WSL_DISTRO_NAME");
        if wsl {
            let windows = ["wslview", "rundll32.exe url.dll,FileProtocolHandler"];
            commands.extend(windows.into_iter().filter_map(BrowserCommand::parse));
        }
        if environment.has("DISPLAY") || environment.has("WAYLAND_DISPLAY") {
            let desktop = ["xdg-open", "gio open", "x-www-browser"];
            commands.extend(desktop.into_iter().filter_map(BrowserCommand::parse));
        }
        if commands.is_empty() {
            return Err(no_browser("there is no display, and BROWSER names no graphical browser"));
        }
        Ok(Self::Commands(commands))
    }
}

impl BrowserCommand {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace().map(str::to_owned);
        Some(Self { program: words.next()?, arguments: words.collect() })
    }

    fn is_text_mode(&self) -> bool {
        let name = self.program.rsplit('/').next().unwrap_or_default();
        TEXT_MODE.contains(&name)
    }

    fn arguments_for(&self, url: &Url) -> Vec<String> {
        let mut arguments: Vec<String> =
            self.arguments.iter().map(|argument| argument.replace("%s", url.as_str())).collect();
        if !self.arguments.iter().any(|argument| argument.contains("%s")) {
            arguments.push(url.to_string());
        }
        arguments
    }
}

/// The person's browser, found in an environment each time it is needed.
#[derive(Clone, Debug)]
pub struct Browser(Environment);

impl Browser {
    /// The browser of this environment.
    #[must_use]
    pub const fn new(environment: Environment) -> Self {
        Self(environment)
    }
}

#[async_trait]
impl BrowserLauncher for Browser {
    fn check(&self) -> Result<()> {
        BrowserRoute::find(&self.0).map(drop)
    }

    async fn open(&self, url: &Url) -> Result<Launch> {
        match BrowserRoute::find(&self.0)? {
            BrowserRoute::Commands(commands) => start(commands, url.clone()).await,
            BrowserRoute::System => system(url.clone()).await,
        }
    }
}

/// Starts the first command that can be started. If it fails soon after, the next one is tried.
async fn start(commands: Vec<BrowserCommand>, url: Url) -> Result<Launch> {
    let mut remaining = commands.into_iter();
    let mut child = spawn_next(&mut remaining, &url)?;
    let (failure, launch) = oneshot::channel();
    tokio::spawn(async move {
        let error = loop {
            // Waiting also reaps the child, no matter how long it runs.
            let early = tokio::time::timeout(EARLY_EXIT_WINDOW, child.wait()).await;
            match early {
                Err(_) => {
                    let _ = child.wait().await;
                    return;
                }
                Ok(Ok(status)) if !status.success() => match spawn_next(&mut remaining, &url) {
                    Ok(next) => child = next,
                    Err(_) => break no_browser(&format!("the browser ended at once: {status}")),
                },
                Ok(_) => return,
            }
        };
        let _ = failure.send(error);
    });
    Ok(Launch(Some(launch)))
}

fn spawn_next(
    commands: &mut impl Iterator<Item = BrowserCommand>,
    url: &Url,
) -> Result<tokio::process::Child> {
    use std::process::Stdio;
    let mut last = no_browser("there is no other browser to try");
    for command in commands {
        let mut command_line = tokio::process::Command::new(&command.program);
        command_line.args(command.arguments_for(url));
        // Its output must not mix with ours (invariant I10).
        command_line.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Interrupting this program in its terminal must not end the person's browser.
        #[cfg(unix)]
        command_line.process_group(0);
        match command_line.spawn() {
            Ok(child) => {
                tracing::debug!(program = command.program, "browser started");
                return Ok(child);
            }
            Err(error) => {
                tracing::debug!(program = command.program, %error, "could not start the browser");
                last =
                    no_browser(&format!("'{}' does not start", command.program)).with_source(error);
            }
        }
    }
    Err(last)
}

#[cfg(target_os = "linux")]
async fn system(_: Url) -> Result<Launch> {
    Err(no_browser("this system has no default browser"))
}

#[cfg(not(target_os = "linux"))]
async fn system(url: Url) -> Result<Launch> {
    let mut options = webbrowser::BrowserOptions::new();
    options.with_suppress_output(true);
    let open = move || {
        let browser = webbrowser::Browser::Default;
        webbrowser::open_browser_with_options(browser, url.as_str(), &options)
    };
    match tokio::task::spawn_blocking(open).await {
        Ok(Ok(())) => Ok(Launch::default()),
        Ok(Err(error)) => Err(no_browser("the default browser does not start").with_source(error)),
        Err(error) => Err(no_browser("the default browser does not start").with_source(error)),
    }
}

fn no_browser(detail: &str) -> Error {
    Error::unavailable(Missing::UserInterface, format!("could not open a browser: {detail}"))
        .with_hint(
            "run `keybearer login` in a terminal, or set BROWSER to the command of a browser",
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs(pairs: &[(&str, &str)]) -> Option<Vec<String>> {
        let route = BrowserRoute::find(&Environment::from_pairs(pairs.iter().copied()));
        match route {
            Ok(BrowserRoute::Commands(all)) => Some(all.into_iter().map(|c| c.program).collect()),
            Ok(BrowserRoute::System) => Some(vec!["system".into()]),
            Err(error) => {
                assert!(error.hint().unwrap().contains("BROWSER"));
                None
            }
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_way_to_a_browser_is_found_in_the_environment() {
        for (pairs, expected) in [
            (vec![], None),
            (vec![("DISPLAY", "")], None),
            (vec![("BROWSER", "w3m:/usr/bin/lynx -x")], None),
            (vec![("BROWSER", "a --b %s:lynx:c")], Some("a c")),
            (vec![("DISPLAY", ":0")], Some("xdg-open gio x-www-browser")),
            (
                vec![("WAYLAND_DISPLAY", "w"), ("BROWSER", "a")],
                Some("a xdg-open gio x-www-browser"),
            ),
            (vec![("WSL_INTEROP", "/run/x")], Some("wslview rundll32.exe")),
        ] {
            let found = programs(&pairs).map(|programs| programs.join(" "));
            assert_eq!(found.as_deref(), expected, "{pairs:?}");
        }
    }

    #[test]
    fn the_url_takes_the_place_of_its_mark_or_comes_last() {
        let url = Url::parse("https://a.example/?x=%73").unwrap();
        for (text, expected) in [
            ("b", vec!["https://a.example/?x=%73"]),
            ("b -n --url=%s x", vec!["-n", "--url=https://a.example/?x=%73", "x"]),
        ] {
            assert_eq!(BrowserCommand::parse(text).unwrap().arguments_for(&url), expected);
        }
    }

    async fn open(commands: &str) -> Result<Launch> {
        let environment = Environment::from_pairs([("BROWSER", commands)]);
        Browser::new(environment).open(&Url::parse("https://a.example/").unwrap()).await
    }

    #[tokio::test]
    async fn a_command_that_does_not_start_gives_way_to_the_next_and_the_last_one_is_an_error() {
        assert!(open("/nonexistent/browser").await.is_err());
        let mut launch = open("/nonexistent/browser:false").await.unwrap();
        let error = launch.failed().await;
        assert!(error.message().contains("ended at once"), "{error}");
        let settled = |commands| async move { open(commands).await.unwrap().settled().await };
        assert!(settled("false").await.is_err());
        assert!(settled("true").await.is_ok());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_browser_that_ends_well_is_no_failure_and_is_reaped() {
        let mut launch = open("true").await.unwrap();
        tokio::select! {
            error = launch.failed() => panic!("{error}"),
            () = reaped() => {}
        }
    }

    /// Ends when this process has no zombie child `true` any more.
    #[cfg(target_os = "linux")]
    async fn reaped() {
        let own = std::process::id();
        let zombie = || {
            let stats = std::fs::read_dir("/proc").unwrap().flatten();
            let stats = stats.flat_map(|e| std::fs::read_to_string(e.path().join("stat")));
            stats.into_iter().any(|stat| stat.contains(&format!("(true) Z {own} ")))
        };
        while zombie() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
