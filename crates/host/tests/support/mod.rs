//! A real Chromium, and a person who looks at its pages and clicks.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod desktop;
mod tls_page;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
pub(crate) use tls_page::TlsPage;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// Far more than a page takes, also on a busy machine.
const TEST_LIMIT: Duration = Duration::from_secs(30);
/// Pages answer at once, or never if they are replaced at that moment.
const REPLY: Duration = Duration::from_secs(1);
const DEVTOOLS_PROXY: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/devtools_proxy.py");

/// A Chromium that a test can control.
#[derive(Debug)]
pub(crate) struct Chromium {
    /// The program to start instead of the browser.
    pub(crate) program: PathBuf,
    socket: PathBuf,
}

impl Chromium {
    /// Puts the program into `directory`. `None` if Chromium is not installed, which fails under CI.
    pub(crate) fn find(directory: &Path) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let programs = ["chromium", "google-chrome", "chromium-browser"];
        let found = std::env::split_paths(&path)
            .flat_map(|directory| programs.map(|program| directory.join(program)))
            .find(|program| program.is_file());
        let Some(chromium) = found else {
            assert!(std::env::var_os("CI").is_none(), "Chromium is not installed");
            eprintln!("not tested: Chromium is not installed (apt-get install chromium)");
            return None;
        };
        let (program, socket) = (directory.join("chromium"), directory.join("devtools"));
        // Set HEADFUL to watch, on a machine with a display.
        let headless = std::env::var_os("HEADFUL").map_or("HEADLESS=1", |_| "");
        let script = format!(
            "#!/bin/sh\nexport PATH='{}' {headless} CHROMIUM='{}' DEVTOOLS_SOCKET='{}'\nexec python3 '{DEVTOOLS_PROXY}' \"$@\"\n",
            path.to_str().unwrap(),
            chromium.display(),
            socket.display(),
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        Some(Self { program, socket })
    }

    /// Forgets a browser that has ended, so that a new one can start.
    pub(crate) fn forget(&self) {
        let _ = std::fs::remove_file(&self.socket);
    }

    /// The person at the window, once the program under test has opened it.
    pub(crate) async fn person(&self) -> Person {
        let socket = patiently(|| UnixStream::connect(&self.socket)).await;
        Person { devtools: BufReader::new(socket), asked: 0 }
    }

    /// Waits until the window is closed for good.
    pub(crate) async fn ended(&self) {
        patiently(|| async { if self.socket.exists() { Err(()) } else { Ok(()) } }).await;
    }
}

/// A person who reads pages and clicks.
#[derive(Debug)]
pub(crate) struct Person {
    devtools: BufReader<UnixStream>,
    asked: u64,
}

impl Person {
    /// Calls a method of the browser, or of the page with that number.
    pub(crate) async fn call(&mut self, page: Option<usize>, method: &str, params: Value) -> Value {
        let mut message = json!({ "method": method, "params": params });
        if let Some(page) = page {
            message["page"] = page.into();
        }
        self.send(message).await
    }

    /// Null if the browser ends or the page navigates at that moment.
    async fn send(&mut self, mut message: Value) -> Value {
        self.asked += 1;
        message["id"] = self.asked.into();
        let answer = async {
            self.devtools.write_all(format!("{message}\n").as_bytes()).await.ok()?;
            loop {
                let mut line = String::new();
                self.devtools.read_line(&mut line).await.ok()?;
                let answer: Value = serde_json::from_str(&line).ok()?;
                if answer["id"] == self.asked {
                    return Some(answer);
                }
            }
        };
        tokio::time::timeout(REPLY, answer).await.ok().flatten().unwrap_or_default()
    }

    /// The value of a JavaScript expression, with a user gesture; null while there is no page.
    pub(crate) async fn evaluate(&mut self, page: usize, expression: &str) -> Value {
        let params = json!({ "expression": expression, "userGesture": true, "returnByValue": true,
            "awaitPromise": true });
        let mut answer = self.call(Some(page), "Runtime.evaluate", params).await;
        answer["result"]["result"]["value"].take()
    }

    /// Waits for the expression to be true.
    pub(crate) async fn sees(&mut self, page: usize, expression: &str) {
        let deadline = tokio::time::Instant::now() + TEST_LIMIT;
        while self.evaluate(page, expression).await != true {
            if tokio::time::Instant::now() > deadline {
                let text = self.evaluate(page, "location.href + document.body.innerText").await;
                let targets = self.call(None, "Target.getTargets", json!({})).await;
                panic!("timed out waiting for {expression}; the page is {text}, among {targets}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for the text on the page.
    pub(crate) async fn reads(&mut self, page: usize, text: &str) {
        let text = Value::from(text);
        self.sees(page, &format!("!!document.body && document.body.innerText.includes({text})"))
            .await;
    }

    /// Waits for the element and clicks it.
    pub(crate) async fn clicks(&mut self, page: usize, selector: &str) {
        let selector = Value::from(selector);
        self.sees(page, &format!("!!document.querySelector({selector})")).await;
        self.evaluate(
            page,
            &format!("setTimeout(() => document.querySelector({selector}).click()), 1"),
        )
        .await;
    }

    /// Waits for the field and fills it.
    pub(crate) async fn fills(&mut self, page: usize, name: &str, value: &str) {
        let (field, value) = (format!("document.querySelector('[name={name}]')"), json!(value));
        self.sees(page, &format!("!!{field}")).await;
        self.evaluate(page, &format!("{field}.value = {value}")).await;
    }

    /// Starts to navigate to another page.
    pub(crate) async fn goes(&mut self, page: usize, url: &str) {
        let message = json!({ "id": 0, "page": page, "method": "Page.navigate",
            "params": { "url": url } });
        self.devtools.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }

    /// Presses a key: `Tab` or `Enter`.
    pub(crate) async fn presses(&mut self, page: usize, key: &str) {
        let (code, text) = if key == "Enter" { (13, "\r") } else { (9, "") };
        for (kind, text) in [("keyDown", text), ("keyUp", "")] {
            let event = json!({ "type": kind, "key": key, "code": key, "text": text,
                "windowsVirtualKeyCode": code });
            self.call(Some(page), "Input.dispatchKeyEvent", event).await;
        }
    }

    /// Waits until no page is left.
    pub(crate) async fn sees_all_closed(&mut self) {
        let deadline = tokio::time::Instant::now() + TEST_LIMIT;
        loop {
            let targets = self.call(None, "Target.getTargets", json!({})).await;
            let targets = targets["result"]["targetInfos"].as_array().cloned();
            let mut pages = targets.unwrap_or_default();
            pages.retain(|target| target["type"] == "page");
            if pages.is_empty() {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "still open: {pages:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Closes a page, as the close button does.
    pub(crate) async fn closes(&mut self, page: usize) {
        self.send(json!({ "page": page, "close": true })).await;
    }

    /// Signs in at the emulator.
    pub(crate) async fn signs_in(&mut self, page: usize, user: &str, password: &str) {
        self.fills(page, "username", user).await;
        self.clicks(page, "[value=next]").await;
        self.fills(page, "password", password).await;
        self.clicks(page, "[value=signin]").await;
    }
}

async fn patiently<T, E, F: Future<Output = Result<T, E>>>(attempt: impl Fn() -> F) -> T {
    let deadline = tokio::time::Instant::now() + TEST_LIMIT;
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(_) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(_) => panic!("timed out after {TEST_LIMIT:?}"),
        }
    }
}
