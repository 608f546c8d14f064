//! The real program on a Windows with a Web Account Manager: the project's own provider, in Wine.
#![cfg(windows)]
#![allow(clippy::unwrap_used, reason = "a test that cannot continue fails")]

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

const ACCOUNT: &str = r#"{
    "id": "wam-1", "user_name": "dev@contoso.example",
    "properties": {
        "OID": "11111111-1111-1111-1111-111111111111",
        "TenantId": "22222222-2222-2222-2222-222222222222"
    }
}"#;

/// A profile, and the world of the provider.
struct Windows {
    provider: PathBuf,
    profile: TempDir,
}

impl Windows {
    fn playing(script: &str) -> Self {
        let profile = TempDir::new().unwrap();
        let provider = profile.path().join("provider");
        std::fs::create_dir(&provider).unwrap();
        std::fs::write(provider.join("script.json"), script).unwrap();
        Self { provider, profile }
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keybearer"));
        command.args(arguments).env("FAKE_WAM_DIR", &self.provider);
        for name in ["LOCALAPPDATA", "APPDATA"] {
            command.env(name, self.profile.path().join(name));
        }
        for name in ["AZURE_AUTHORITY_HOST", "AZURE_TENANT_ID"] {
            command.env_remove(name);
        }
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

#[test]
fn tokens_and_accounts_come_from_windows() {
    let windows = Windows::playing(&format!(r#"{{ "accounts": [{ACCOUNT}] }}"#));
    let token = ["token", "--silent", "--scope", "https://storage.azure.com/.default"];
    assert_eq!(windows.run(&token), (0, "token-of-wam-1\n".into(), String::new()));
    assert!(windows.run(&["accounts"]).1.contains("dev@contoso.example"));
    let doctor = windows.run(&["doctor"]).1;
    assert!(doctor.contains("Web Account Manager serves"), "{doctor}");
    let state = windows.profile.path().join("LOCALAPPDATA").join("keybearer");
    assert!(!state.exists(), "what Windows keeps is not kept a second time");
}

#[test]
fn a_person_signs_in_through_windows() {
    let windows = Windows::playing(&format!(r#"{{ "person": {ACCOUNT} }}"#));
    let (code, stdout, stderr) = windows.run(&["login", "--timeout", "20"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("signed in as dev@contoso.example "), "{stdout}");
}

#[test]
fn an_app_that_lacks_the_redirect_uri_is_told_which_one() {
    let error = r#"{ "error": { "code": 3399614467, "message": "AADSTS50011: not registered" } }"#;
    let windows = Windows::playing(&format!(r#"{{ "interactive": {error} }}"#));
    let (code, stdout, stderr) = windows.run(&["login", "--timeout", "20"]);
    assert_eq!((code, &*stdout), (1, ""));
    let uri = "ms-appx-web://microsoft.aad.brokerplugin/04b07795-8ddb-461a-bbee-02f9e1bf7b46";
    assert!(stderr.contains(uri) && stderr.contains("AADSTS50011"), "{stderr}");
}

#[test]
fn an_unanswered_dialogue_ends_at_the_timeout() {
    let windows = Windows::playing("{}");
    assert_eq!(windows.run(&["login", "--timeout", "1"]).0, 6);
}
