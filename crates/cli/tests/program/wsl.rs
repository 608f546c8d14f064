//! In WSL: Windows answers through a proxy, played by a script that is noisy.

use std::io::Write;
use std::process::{Command, Stdio};

use keybearer_emulator::{Home, Running, eventually};
use rustix::process::Signal;

use crate::home::home;

const ACCOUNT: &str = r#"{"homeAccountId":"11111111-1111-1111-1111-111111111111.22222222-2222-2222-2222-222222222222","environment":"login.windows.net","realm":"22222222-2222-2222-2222-222222222222","localAccountId":"11111111-1111-1111-1111-111111111111","username":"dev@contoso.example"}"#;

/// A machine whose proxy is a script with this body.
fn wsl(body: &str) -> Home {
    let home = home();
    let proxy = home.at("msal.wsl.proxy.exe");
    // A child writes it, because a file that this process has open for writing cannot be executed.
    let mut install = Command::new("install")
        .args(["-m", "755", "/dev/stdin"])
        .arg(&proxy)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let text = format!("#!/bin/sh\n{body}\n");
    install.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(install.wait().unwrap().success());
    let proxy = proxy.to_str().unwrap().to_owned();
    home.with("WSL_DISTRO_NAME", "Debian").with("KEYBEARER_WSL_PROXY", &proxy)
}

#[test]
fn i10_a_token_from_windows_is_all_there_is_on_stdout() {
    let token = r#"{"brokerTokenResponse":{"accessToken":"at-1","accessTokenType":0,"expiresOn":1795415027000,"account":ACCOUNT}}"#;
    let token = token.replace("ACCOUNT", ACCOUNT);
    let home = wsl(&format!(
        "echo noise >&2\necho 'ping from the runtime'\ncase \"$2\" in\n\
         getAccounts) printf '%s\\r\\n\\0' '{{\"accounts\":[{ACCOUNT}]}}';;\n\
         acquireTokenSilently) printf '%s\\r\\n\\0' '{token}';;\nesac"
    ));
    let output = home.run("token --silent --scope https://storage.azure.com/.default");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "at-1\n");
    assert_eq!(output.status.code(), Some(0));
    assert!(!home.socket().exists(), "no broker of this Linux is needed");
}

#[test]
fn what_windows_refuses_is_told_with_the_next_step() {
    let error = r#"{"brokerTokenResponse":{"error":{"context":"AADSTS50011: no redirect URI","errorCode":0,"status":6,"tag":1}}}"#;
    let home = wsl(&format!("echo '{error}'"));
    let output = home.run("login --client-id app-1");
    let shown = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("ms-appx-web://Microsoft.AAD.BrokerPlugin/app-1"), "{shown}");
    assert!(output.stdout.is_empty());
}

#[test]
fn the_doctor_says_that_windows_accounts_are_used() {
    let home = wsl("exit 1");
    let output = home.run("doctor");
    let shown = String::from_utf8(output.stdout).unwrap();
    let line = shown.lines().find(|line| line.contains("  wsl  ")).unwrap_or_default();
    assert!(line.starts_with("ok") && line.contains("KEYBEARER_WSL_PROXY"), "{shown}");
}

#[test]
fn a_sign_in_that_is_interrupted_is_cancelled_in_windows_inv_i7() {
    let home = wsl("echo \"$2\" >> \"$HOME/calls\"\n\
         case \"$2\" in acquireTokenInteractively) echo $$ > \"$HOME/own\"; exec sleep 1000;; esac");
    let read = |name: &str| std::fs::read_to_string(home.at(name)).ok();
    let login = Running::start(&mut home.keybearer(["login"]));
    let own = eventually("the sign-in begins", || read("own").filter(|own| own.ends_with('\n')));
    login.signal(Signal::INT);
    let (status, shown) = login.end();
    assert_eq!(status.code(), Some(4), "{shown}");
    eventually("Windows gets the cancellation", || {
        read("calls")?.contains("cancelInteractiveFlow").then_some(())
    });
    let stat = format!("/proc/{}/stat", own.trim());
    let gone = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
    eventually("the proxy ends", || gone().then_some(()));
}
