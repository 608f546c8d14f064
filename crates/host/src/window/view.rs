use std::collections::HashMap;
use std::process::Stdio;
use std::time::Duration;

use keybearer_core::{Error, Result};
use keybearer_protocol::RedirectParameters;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use url::Url;

use super::browser::WindowBrowser;
use super::devtools::{DevTools, Event};
use super::profile::Profile;
use crate::available_ui::no_window;
use crate::environment::Environment;

/// How long a browser may take to show its first window, with a cold disk.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long a browser may take to write its profile when it is closed.
const EXIT_LIMIT: Duration = Duration::from_secs(5);
/// How many answers may wait for the engine.
const MAX_PENDING_ANSWERS: usize = 16;
/// Passes our pipe to the browser as descriptors 3 and 4, where Chromium expects DevTools messages.
/// The browser's output is discarded (invariant I10).
const LAUNCH: &str = r#"exec "$0" "$@" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null"#;
const ARGUMENTS: [&str; 12] = [
    "--remote-debugging-pipe",
    "--app=data:text/html,<title>Sign in</title>",
    "--window-size=560,760",
    "--no-first-run",
    "--no-default-browser-check",
    "--hide-crash-restore-bubble",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--disable-quic",
];

/// A browser window that is watched for navigations to one address.
#[derive(Debug)]
pub(super) struct View {
    devtools: DevTools,
    /// The first page's session.
    main: String,
    /// Closed when the last page or the browser is closed.
    answers: mpsc::Receiver<RedirectParameters>,
    process: Option<BrowserProcess>,
}

#[derive(Debug)]
struct BrowserProcess {
    devtools: DevTools,
    child: Child,
    /// Held for its lock, and to remove it after use.
    _profile: Profile,
}

impl View {
    /// Opens an empty window.
    ///
    /// # Errors
    /// `Unavailable(UserInterface)` if the browser does not start or cannot be controlled.
    pub(super) async fn open(
        browser: &WindowBrowser,
        environment: &Environment,
        profile: Profile,
        redirect_uri: &Url,
    ) -> Result<Self> {
        let mut user_data_dir = std::ffi::OsString::from("--user-data-dir=");
        user_data_dir.push(&profile.path);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", LAUNCH]).arg(&browser.program).args(ARGUMENTS).arg(user_data_dir);
        command.env_clear().envs(environment.variables());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // Ctrl-C in our terminal must not reach the browser before its profile is written. The browser
        // exits when the pipe is closed.
        command.process_group(0).kill_on_drop(true);
        let failed = |error: std::io::Error| no_window("it does not start").with_source(error);
        let mut child = command.spawn().map_err(failed)?;
        let pipe = child.stdin.take().zip(child.stdout.take());
        let (writer, reader) =
            pipe.ok_or_else(|| Error::internal("could not open a pipe to the window"))?;
        let (devtools, events) = DevTools::start(writer, reader);
        let process = BrowserProcess { devtools: devtools.clone(), child, _profile: profile };
        let (answers_out, answers) = mpsc::channel(MAX_PENDING_ANSWERS);
        let (ready_out, ready) = oneshot::channel();
        let watch = NavigationWatch {
            devtools: devtools.clone(),
            redirect_uri: redirect_uri.clone(),
            pages: HashMap::new(),
            answers: answers_out,
            ready: Some(ready_out),
        };
        tokio::spawn(watch.run(events));
        let all = json!({ "autoAttach": true, "waitForDebuggerOnStart": true, "flatten": true });
        drop(devtools.send(None, "Target.setAutoAttach", all));
        let deny = json!({ "behavior": "deny" });
        drop(devtools.send(None, "Browser.setDownloadBehavior", deny));
        match tokio::time::timeout(START_LIMIT, ready).await {
            Ok(Ok(main)) => Ok(Self { devtools, main, answers, process: Some(process) }),
            Ok(Err(_)) => {
                process.end().await;
                Err(no_window("the browser ended before it showed a window"))
            }
            Err(_) => {
                process.end().await;
                Err(no_window("the browser does not answer"))
            }
        }
    }

    /// Navigates to a page.
    pub(super) async fn visit(&self, url: &Url) -> Result<()> {
        // The reply is not awaited: a page may load slowly, or lead to the redirect URI at once.
        drop(self.devtools.send(Some(&self.main), "Page.navigate", json!({ "url": url.as_str() })));
        drop(self.devtools.send(Some(&self.main), "Page.bringToFront", json!({})));
        Ok(())
    }

    /// Waits for the next navigation to the redirect URI; `None` if the person closes the window.
    pub(super) async fn answer(&mut self) -> Option<RedirectParameters> {
        self.answers.recv().await
    }

    /// Waits until the person closes the window; answers are discarded.
    pub(super) async fn closed(&mut self) {
        while self.answers.recv().await.is_some() {}
    }

    /// Closes the window.
    pub(super) async fn close(mut self) {
        if let Some(process) = self.process.take() {
            process.end().await;
        }
    }
}

/// A cancelled sign-in closes its window.
impl Drop for View {
    fn drop(&mut self) {
        // Without a runtime, dropping the child kills it.
        if let (Some(process), Ok(runtime)) =
            (self.process.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(process.end());
        }
    }
}

impl BrowserProcess {
    /// Closes the browser, so that it writes its profile; kills it if it does not exit.
    async fn end(mut self) {
        drop(self.devtools.send(None, "Browser.close", json!({})));
        if tokio::time::timeout(EXIT_LIMIT, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

/// Handles the events of the browser, and finds the answers among them.
struct NavigationWatch {
    devtools: DevTools,
    redirect_uri: Url,
    /// The open pages: session and target.
    pages: HashMap<String, String>,
    answers: mpsc::Sender<RedirectParameters>,
    ready: Option<oneshot::Sender<String>>,
}

impl NavigationWatch {
    /// Runs until the browser exits or its last page is closed.
    async fn run(mut self, mut events: mpsc::UnboundedReceiver<Event>) {
        while let Some(event) = events.recv().await {
            match &*event.method {
                "Target.attachedToTarget" => self.attached(&event.params).await,
                "Target.detachedFromTarget" => {
                    let session = event.params["sessionId"].as_str().unwrap_or_default();
                    if self.pages.remove(session).is_some() && self.pages.is_empty() {
                        return;
                    }
                }
                "Fetch.requestPaused" => self.paused(event.session.as_deref(), &event.params),
                _ => {}
            }
        }
    }

    /// Starts watching a page before it loads anything.
    async fn attached(&mut self, params: &Value) {
        let Some(session) = params["sessionId"].as_str() else { return };
        let target = &params["targetInfo"];
        if target["type"] == "page" {
            let id = target["targetId"].as_str().unwrap_or_default();
            self.pages.insert(session.to_owned(), id.to_owned());
            // The asterisk matches any query, but more as well; `paused` checks the URL exactly.
            let pattern = format!("{}*", self.redirect_uri);
            let patterns = json!({ "patterns": [{ "urlPattern": pattern }] });
            if let Err(error) = self.devtools.call(Some(session), "Fetch.enable", patterns).await {
                tracing::debug!(%error, "could not watch a page of the sign-in window");
                drop(self.devtools.send(None, "Target.closeTarget", json!({ "targetId": id })));
                return;
            }
            if let Some(ready) = self.ready.take() {
                let _ = ready.send(session.to_owned());
            }
        }
        drop(self.devtools.send(Some(session), "Runtime.runIfWaitingForDebugger", json!({})));
    }

    /// Stops a request to the redirect URI; lets any other continue.
    fn paused(&self, session: Option<&str>, params: &Value) {
        let request = json!({ "requestId": params["requestId"] });
        let url = params["request"]["url"].as_str().and_then(|url| Url::parse(url).ok());
        let Some(url) = url.filter(|url| self.is_redirect_uri(url)) else {
            drop(self.devtools.send(session, "Fetch.continueRequest", request));
            return;
        };
        let stop = json!({ "requestId": params["requestId"], "errorReason": "Aborted" });
        drop(self.devtools.send(session, "Fetch.failRequest", stop));
        // A request of a frame, a script or a form is not an answer.
        let page = session.and_then(|session| self.pages.get(session));
        let navigates = params["resourceType"] == "Document"
            && page.is_some_and(|page| params["frameId"] == **page)
            && params["request"]["method"] == "GET";
        if let (true, Some(query)) = (navigates, url.query()) {
            let answer = RedirectParameters::parse(query.as_bytes());
            if self.answers.try_send(answer).is_err() {
                tracing::debug!("discarded an answer in the sign-in window: too many are waiting");
            }
        }
    }

    /// Whether this is exactly the redirect URI, with any query.
    fn is_redirect_uri(&self, url: &Url) -> bool {
        let mut bare = url.clone();
        bare.set_query(None);
        bare.set_fragment(None);
        bare == self.redirect_uri
    }
}
