//! Standard output carries only the answer (invariant I10).
#![cfg(unix)]

use std::process::Command;

use keybearer_host::{Browser, BrowserLauncher, Environment};
use url::Url;

const MARKER: &str = "KEYBEARER_TEST_MARKER";

#[test]
fn what_a_browser_prints_does_not_get_into_our_output() {
    let temporary = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "opening_process", "--nocapture"])
        .env(MARKER, temporary.path().join("seen"))
        .output()
        .unwrap();
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    assert!(!stdout.contains("shown") && !stderr.contains("shown"), "{stdout}{stderr}");
    let seen = std::fs::read_to_string(temporary.path().join("seen")).unwrap();
    assert_eq!(seen, "https://shown.example/?a=1&b=%3A\n");
}

/// Run by the test above in a child process, with a browser that prints the URL.
#[tokio::test]
async fn opening_process() {
    let Some(seen) = std::env::var_os(MARKER) else { return };
    let script = std::path::Path::new(&seen).with_file_name("browser");
    // The browser prints the URL and writes it to a file; the file shows that it has done both.
    let text =
        format!("echo \"$1\"\necho \"$1\" >&2\necho \"$1\" > '{}'\nexit 1\n", seen.display());
    std::fs::write(&script, text).unwrap();
    let command = format!("sh {} %s", script.display());
    let browser = Browser::new(Environment::from_pairs([("BROWSER", command)]));
    let url = Url::parse("https://shown.example/?a=1&b=%3A").unwrap();
    browser.open(&url).await.unwrap().failed().await;
}
