use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use keybearer_core::{Error, Missing, Result};
use tokio::sync::oneshot;
use url::Url;

use crate::environment::Environment;

/// A browser that fails does so within this time; an exit later is the person closing it.
const EARLY_EXIT_WINDOW: Duration = Duration::from_secs(5);
/// Between the commands of `$BROWSER`. Paths of Windows have a colon in them.
const SEPARATOR: char = if cfg!(windows) { ';' } else { ':' };
const TEXT_MODE: [&str; 7] = ["w3m", "lynx", "links", "links2", "elinks", "www-browser", "browsh"];

/// What can show a person a web page.
#[async_trait]
pub trait BrowserLauncher: Send + Sync + fmt::Debug {
    /// Whether there is any way to show a page, without showing one.
    ///
    /// # Errors
    /// `Unavailable(UserInterface)`, with what to do instead as hint.
    fn check(&self) -> Result<()>;

    /// Shows a page.
    ///
    /// # Errors
    /// `Unavailable(UserInterface)` if no browser could be started.
    async fn open(&self, url: &Url) -> Result<Launch>;
}

/// A browser that was started, and may still turn out not to work.
#[derive(Debug, Default)]
pub struct Launch(Option<oneshot::Receiver<Error>>);

impl Launch {
    /// A start that goes on, and may fail.
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

    /// Waits until the browser has shown the page or had the time to fail.
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

    /// Waits until it is known that no page was shown; forever if one was.
    ///
    /// Dropping the wait and waiting again is fine.
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

/// How this process would show a page.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(clippy::exhaustive_enums, reason = "doctor has a sentence for each")]
pub enum BrowserRoute {
    /// These commands in turn, until one starts.
    Commands(Vec<BrowserCommand>),
    /// The operating system's default browser.
    System,
}

/// A program and its arguments; `%s` stands for the URL.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(clippy::exhaustive_structs, reason = "plain data")]
pub struct BrowserCommand {
    /// The program.
    pub program: String,
    /// Its arguments; if none holds `%s`, the URL is the last one.
    pub arguments: Vec<String>,
}

impl BrowserRoute {
    /// The way to a browser in this environment: the commands of `$BROWSER` (separated by `:`, on
    /// Windows by `;`), then those of the desktop if there is a display. Browsers in text mode are left out: they cannot
    /// run the provider's pages, and would take over the terminal.
    ///
    /// # Errors
    /// `Unavailable(UserInterface)`, with what to do instead as hint.
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

/// The person's browser, found in the environment of the process that made this value.
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

/// Starts the first command that starts. Should it fail soon after, the next one has its turn.
async fn start(commands: Vec<BrowserCommand>, url: Url) -> Result<Launch> {
    let mut remaining = commands.into_iter();
    let mut child = spawn_next(&mut remaining, &url)?;
    let (failure, launch) = oneshot::channel();
    tokio::spawn(async move {
        let error = loop {
            // Waiting also reaps the child, however long it lives.
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
    let mut last = no_browser("there is none left to try");
    for command in commands {
        let mut command_line = tokio::process::Command::new(&command.program);
        command_line.args(command.arguments_for(url));
        // Its output must not get into ours (invariant I10).
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
                tracing::debug!(program = command.program, %error, "browser not started");
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
        Ok(Err(error)) => Err(no_browser("the default browser").with_source(error)),
        Err(error) => Err(no_browser("the default browser").with_source(error)),
    }
}

fn no_browser(detail: &str) -> Error {
    Error::unavailable(Missing::UserInterface, format!("open a browser: {detail}")).with_hint(
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
