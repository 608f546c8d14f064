use std::process::Stdio;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use keybearer_core::{
    Account, AuthorityHost, Caller, CallerId, ClientId, CorrelationId, HomeAccountId, Process,
    Result, ScopeSet, Tenant, TenantId,
};
use keybearer_engine::{SignIn, SignInPrompt, SignInUi};
use keybearer_host::{BrowserLauncher, Launch, LoopbackUi, SystemRandom};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use url::Url;

use super::Chromium;

/// A person's browser, started as a desktop starts it.
#[derive(Debug)]
pub(crate) struct Desktop {
    directory: TempDir,
    pub(crate) chromium: Chromium,
    open: Mutex<Option<Child>>,
}

impl Desktop {
    /// `None` if Chromium is not installed.
    pub(crate) fn new() -> Option<Arc<Self>> {
        let directory = tempfile::tempdir().unwrap();
        let chromium = Chromium::find(directory.path())?;
        Some(Arc::new(Self { directory, chromium, open: Mutex::default() }))
    }

    /// Ends the browser, as the person would.
    pub(crate) async fn close(&self) {
        let open = self.open.lock().unwrap().take();
        open.unwrap().kill().await.unwrap();
        self.chromium.forget();
    }
}

#[async_trait]
impl BrowserLauncher for Desktop {
    fn check(&self) -> Result<()> {
        Ok(())
    }

    async fn open(&self, url: &Url) -> Result<Launch> {
        let profile = tempfile::tempdir_in(self.directory.path()).unwrap().keep();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", r#"exec "$0" "$@" 3<&0 4>/dev/null 0</dev/null"#]);
        command.arg(&self.chromium.program).args(["--remote-debugging-pipe", "--no-first-run"]);
        command.arg(format!("--user-data-dir={}", profile.display()));
        command.arg(url.as_str()).stdin(Stdio::piped()).kill_on_drop(true);
        command.env("ALONE", "1");
        *self.open.lock().unwrap() = Some(command.spawn().unwrap());
        let mut person = self.chromium.person().await;
        let all = json!({ "autoAttach": true, "waitForDebuggerOnStart": true, "flatten": true });
        person.call(None, "Target.setAutoAttach", all).await;
        Ok(Launch::default())
    }
}

fn prompt() -> SignInPrompt {
    let executable = Some("/usr/bin/tool".into());
    SignInPrompt {
        caller: Caller {
            id: CallerId::new("c"),
            process: Some(Process { pid: 42, uid: 7, executable }),
        },
        client_id: ClientId::parse("app-1").unwrap(),
        authority_host: AuthorityHost::parse("login.example").unwrap(),
        tenant: Tenant::Organizations,
        scopes: ScopeSet::parse(&["User.Read"]).unwrap(),
        redirect_uri: None,
        correlation_id: CorrelationId::new("c-1"),
        caller_ui: None,
    }
}

/// A sign-in in that browser.
pub(crate) async fn open(desktop: &Arc<Desktop>) -> Box<dyn SignIn> {
    let agent = Arc::clone(desktop) as Arc<dyn BrowserLauncher>;
    LoopbackUi::new(agent, Arc::new(SystemRandom)).open(&prompt()).await.unwrap()
}

/// One with a name, one without.
pub(crate) fn accounts() -> [Account; 2] {
    let account = |name: &str, full: Option<&str>| Account {
        home_account_id: HomeAccountId::parse(&format!("{name}.tid")).unwrap(),
        environment: "login.windows.net".into(),
        realm: TenantId::parse("tid").unwrap(),
        local_account_id: name.into(),
        username: format!("{name}@contoso.example"),
        name: full.map(str::to_owned),
    };
    [account("dev", Some("Dev Contoso")), account("ops", None)]
}
