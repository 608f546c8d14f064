//! The proxy of WSL, played by scripts that record what they are told and misbehave.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot continue fails")]

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use keybearer_core::{
    AccessToken, AccountChoice, AccountsRequest, Broker, CancelRequest, Claims, CorrelationId,
    ErrorKind, HomeAccountId, InteractiveRequest, Missing, Prompt, Result, SilentRequest,
    TokenParameters,
};
use keybearer_host::Environment;
use keybearer_native::Checked;
use keybearer_native::wsl::{FoundBy, ProxyBroker, WslProxyLocator};
use keybearer_testkit::capture::LeakCheck;
use keybearer_testkit::sample;
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(20);

/// How much later than its limit a call may end.
const TOLERANCE: Duration = Duration::from_millis(200);

const ACCOUNTS: &str = r#"{"accounts":[{"homeAccountId":"11111111-1111-1111-1111-111111111111.22222222-2222-2222-2222-222222222222","environment":"login.windows.net","realm":"22222222-2222-2222-2222-222222222222","localAccountId":"11111111-1111-1111-1111-111111111111","username":"dev@contoso.example","unknownToUs":7}]}"#;

const TOKEN: &str = r#"{"brokerTokenResponse":{"accessToken":"at-1","accessTokenType":0,"expiresOn":1795415027000,"grantedScopes":"https://storage.azure.com/.default","account":{"homeAccountId":"11111111-1111-1111-1111-111111111111.22222222-2222-2222-2222-222222222222","environment":"login.windows.net","realm":"22222222-2222-2222-2222-222222222222","localAccountId":"11111111-1111-1111-1111-111111111111","username":"dev@contoso.example"}}}"#;

/// A proxy that does what `body` says; `$dir` is a directory of its own.
struct Fake {
    dir: TempDir,
    broker: Checked<ProxyBroker>,
}

impl Fake {
    fn new(body: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let body = format!("dir='{}'\n{body}", dir.path().display());
        let program = support::script(&dir.path().join("msal.wsl.proxy.exe"), &body);
        Self { broker: ProxyBroker::new(program), dir }
    }

    /// One that answers each method with its text, and records its arguments.
    fn answering(answers: &[(&str, &str)]) -> Self {
        let cases: String = answers
            .iter()
            .map(|(method, answer)| format!("{method}) cat <<'EOF'\n{answer}\nEOF\n;;\n"))
            .collect();
        Self::new(&format!(
            "printf '%s\\n' \"$@\" >> \"$dir/arguments\"\ncase \"$2\" in\n{cases}esac"
        ))
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    async fn accounts(&self, limit: Duration) -> Result<usize> {
        let correlation_id = CorrelationId::new("c-1");
        let request =
            AccountsRequest { client_id: None, correlation_id, deadline: sample::deadline(limit) };
        self.broker.accounts(request).await.map(|accounts| accounts.len())
    }

    async fn silent(&self, parameters: TokenParameters) -> Result<String> {
        let token = self.broker.acquire_silent(SilentRequest { parameters }).await?;
        Ok(token.access_token.expose().to_owned())
    }
}

async fn until(condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < LONG, "it should have happened by now");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Gone, or a child of somebody who has not collected it yet.
fn is_gone(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.map_or(true, |stat| stat.contains(") Z "))
}

#[tokio::test]
async fn answers_are_understood_however_windows_dresses_them() {
    for body in [
        format!("printf '%s\\r\\n\\0' '{ACCOUNTS}'"),
        format!("printf '\\357\\273\\277%s' '{ACCOUNTS}'"),
        format!("printf '%s' '{ACCOUNTS}' | sed 's/,/,\\r\\n  /g'"),
        format!("echo 'ping from the runtime'; echo '{ACCOUNTS}'"),
        format!("printf '%s' '{ACCOUNTS}' | sed 's/./&\\x00/g'"),
        format!("echo '{ACCOUNTS}'; exit 3"),
        format!("head -c 1000000 /dev/zero >&2; echo '{ACCOUNTS}'"),
        // Something it started goes on and holds its output open.
        format!("sleep 60 & echo '{ACCOUNTS}'"),
    ] {
        assert_eq!(Fake::new(&body).accounts(LONG).await.unwrap(), 1, "{body}");
    }
}

#[tokio::test]
async fn accounts_beside_an_error_are_accounts() {
    let error = r#""error":{"context":"other half","errorCode":0,"status":5,"tag":1}"#;
    let both = ACCOUNTS.replace("]}", &format!("],{error}}}"));
    let fake = Fake::answering(&[("getAccounts", &both)]);
    assert_eq!(fake.accounts(LONG).await.unwrap(), 1);
    let alone = format!("{{\"accounts\":[],{error}}}");
    let error = Fake::answering(&[("getAccounts", &alone)]).accounts(LONG).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Transient { retry_after: None });
}

#[tokio::test]
async fn a_proxy_that_does_not_work_is_an_error_with_a_next_step() {
    let refusal =
        r#"{"error":{"context":"Invalid requestJson","errorCode":0,"status":0,"tag":508371229}}"#;
    let interop =
        "echo '<3>WSL (12 - ) ERROR: UtilAcceptVsock:244: accept4 failed 110' >&2; exit 1";
    for (body, kind, hint) in [
        ("exit 1", "unavailable", "administrator"),
        ("exit 0", "unavailable", "wsl.exe --update"),
        ("echo a secret >&2; exit 1", "unavailable", "administrator"),
        (interop, "unavailable", "wsl.exe --shutdown"),
        ("kill -KILL $$", "unavailable", "administrator"),
        ("echo usage: proxy", "protocol", "wsl.exe --update"),
        ("printf '{\"accounts\":['", "protocol", "wsl.exe --update"),
        ("printf '\\377\\376x'", "protocol", ""),
        ("head -c 5000000 /dev/zero", "protocol", ""),
        (&format!("echo '{refusal}'"), "protocol", "wsl.exe --update"),
    ] {
        let error = Fake::new(body).accounts(LONG).await.unwrap_err();
        assert_eq!(error.kind().name(), kind, "{body}: {error}");
        assert!(error.hint().unwrap_or_default().contains(hint), "{body}: {error}");
        assert_eq!(error.context().correlation_id.as_str(), "c-1");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}

#[tokio::test]
async fn a_proxy_that_cannot_be_started_is_unavailable_with_a_next_step() {
    let dir = tempfile::tempdir().unwrap();
    let fake = |name: &str| Fake {
        broker: ProxyBroker::new(dir.path().join(name)),
        dir: tempfile::tempdir().unwrap(),
    };
    // A Windows program, on a Linux that does not know what to do with it.
    let windows = support::script(&dir.path().join("windows.exe"), "");
    std::fs::write(windows, b"MZ\x90\0").unwrap();
    std::fs::write(dir.path().join("closed"), "").unwrap();
    for (name, hint) in [
        ("missing", "wsl.exe --update"),
        ("windows.exe", "/etc/wsl.conf"),
        ("closed", "who may execute"),
    ] {
        let error = fake(name).accounts(LONG).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Unavailable(Missing::Broker), "{name}: {error}");
        assert!(error.hint().unwrap().contains(hint), "{name}: {error}");
    }
}

#[tokio::test]
async fn a_proxy_that_never_answers_is_ended_with_all_it_started_inv_i7() {
    let fake = Fake::new("sleep 1000 &\necho $! > \"$dir/other\"\necho $$ > \"$dir/own\"\nwait");
    let limit = Duration::from_millis(400);
    let begin = Instant::now();
    let error = fake.accounts(limit).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::TimedOut, "{error}");
    assert!(begin.elapsed() < limit + TOLERANCE, "{:?}", begin.elapsed());
    let (own, other) = (fake.read("own"), fake.read("other"));
    assert!(!own.is_empty() && !other.is_empty(), "the proxy should have started");
    until(|| is_gone(&own) && is_gone(&other)).await;
}

#[tokio::test]
async fn a_caller_that_leaves_ends_the_proxy() {
    let fake = Fake::new("echo $$ > \"$dir/own\"\nexec sleep 1000");
    tokio::select! {
        outcome = fake.accounts(LONG) => panic!("nobody should have answered: {outcome:?}"),
        () = until(|| fake.read("own").ends_with('\n')) => {}
    }
    let own = fake.read("own");
    until(|| is_gone(&own)).await;
}

#[tokio::test]
async fn a_sign_in_that_is_cancelled_is_cancelled_in_windows_and_ended_inv_i7() {
    let fake = Fake::new(
        "echo \"$2 $6\" >> \"$dir/calls\"\n\
         case \"$2\" in acquireTokenInteractively) echo $$ > \"$dir/own\"; exec sleep 1000;; esac",
    );
    let parameters = TokenParameters { caller: sample::caller("one"), ..sample::parameters() };
    let correlation_id = parameters.correlation_id.to_string();
    let request = InteractiveRequest::new(parameters, Prompt::SelectAccount);
    let cancelling = async {
        until(|| fake.read("own").ends_with('\n')).await;
        fake.broker.cancel(CancelRequest { caller: sample::caller("two") }).await.unwrap();
        assert!(!is_gone(&fake.read("own")), "another caller's sign-in should go on");
        fake.broker.cancel(CancelRequest { caller: sample::caller("one") }).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(fake.broker.acquire_interactive(request), cancelling);
    assert_eq!(*outcome.unwrap_err().kind(), ErrorKind::Cancelled);
    let calls = ["acquireTokenInteractively", "cancelInteractiveFlow"];
    let calls = calls.map(|method| format!("{method} {correlation_id}\n")).concat();
    assert_eq!(fake.read("calls"), calls);
    let own = fake.read("own");
    until(|| is_gone(&own)).await;
}

#[tokio::test]
async fn a_sign_in_that_nobody_waits_for_any_more_is_cancelled_in_windows() {
    let fake = Fake::new(
        "echo \"$2\" >> \"$dir/calls\"\n\
         case \"$2\" in acquireTokenInteractively) echo $$ > \"$dir/own\"; exec sleep 1000;; esac",
    );
    let request = InteractiveRequest::new(sample::parameters(), Prompt::IfNeeded);
    tokio::select! {
        _ = fake.broker.acquire_interactive(request) => panic!("nobody should have answered"),
        () = until(|| fake.read("own").ends_with('\n')) => {}
    }
    until(|| fake.read("calls").contains("cancelInteractiveFlow")).await;
    let own = fake.read("own");
    until(|| is_gone(&own)).await;
}

#[tokio::test]
async fn the_account_goes_back_to_windows_untouched() {
    let fake = Fake::answering(&[("getAccounts", ACCOUNTS), ("acquireTokenSilently", TOKEN)]);
    assert_eq!(fake.silent(sample::parameters()).await.unwrap(), "at-1");
    let arguments = fake.read("arguments");
    assert_eq!(arguments.matches("--bversion\n3\n--cid\n").count(), 2, "{arguments}");
    assert_eq!(arguments.matches(r#""unknownToUs":7"#).count(), 2, "{arguments}");
    assert_eq!(arguments.matches(r#""authorizationType":8"#).count(), 1, "{arguments}");
    // It is known now: a request for exactly this account is one process.
    let id = "11111111-1111-1111-1111-111111111111.22222222-2222-2222-2222-222222222222";
    let account = AccountChoice::Exact(HomeAccountId::parse(id).unwrap());
    fake.silent(TokenParameters { account, ..sample::parameters() }).await.unwrap();
    assert_eq!(fake.read("arguments").matches("getAccounts").count(), 1);
}

#[tokio::test]
async fn i5_a_token_to_renew_is_no_argument_and_is_withheld_if_it_comes_back() {
    let fake = Fake::answering(&[("getAccounts", ACCOUNTS), ("acquireTokenSilently", TOKEN)]);
    let refused = |token: &str| TokenParameters {
        access_token_to_renew: Some(AccessToken::new(token.into())),
        claims: Claims::parse(r#"{"access_token":{"nbf":{"essential":true}}}"#).unwrap(),
        ..sample::parameters()
    };
    let error = fake.silent(refused("at-1")).await.unwrap_err();
    assert_eq!(error.kind().name(), "interaction_required");
    assert_eq!(fake.silent(refused("at-0")).await.unwrap(), "at-1");
    let arguments = fake.read("arguments");
    assert!(!arguments.contains("at-0") && !arguments.contains("at-1"), "{arguments}");
    assert!(arguments.contains("essential"), "claims go with it: {arguments}");
}

#[tokio::test]
async fn a_request_that_no_command_line_holds_is_not_tried() {
    let fake = Fake::answering(&[("getAccounts", ACCOUNTS), ("acquireTokenSilently", TOKEN)]);
    let claims = format!(r#"{{"access_token":{{"x":"{}"}}}}"#, "x".repeat(32_000));
    let claims = Claims::parse(&claims).unwrap();
    let error = fake.silent(TokenParameters { claims, ..sample::parameters() }).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::InvalidRequest { field: "request".into() });
    assert!(!fake.read("arguments").contains("acquireTokenSilently"));
}

#[tokio::test]
async fn of_several_accounts_none_is_taken_unasked_inv_i8() {
    let other = ACCOUNTS.replace("1111-1111-1111-", "1111-1111-3333-").replace("dev@", "ops@");
    let inner =
        |list: &str| list.trim_start_matches(r#"{"accounts":["#).trim_end_matches("]}").to_owned();
    let both = format!(r#"{{"accounts":[{},{}]}}"#, inner(ACCOUNTS), inner(&other));
    let fake = Fake::answering(&[("getAccounts", &both), ("acquireTokenSilently", TOKEN)]);
    let error = fake.silent(sample::parameters()).await.unwrap_err();
    assert_eq!(error.kind().name(), "interaction_required");
    let account = AccountChoice::LoginHint("dev@contoso.example".into());
    assert_eq!(
        fake.silent(TokenParameters { account, ..sample::parameters() }).await.unwrap(),
        "at-1"
    );
}

fn places(dir: &Path) -> WslProxyLocator {
    let place = |name: &str| dir.join(name);
    WslProxyLocator {
        os_release: place("release"),
        wslinfo: place("wslinfo"),
        usual: place("usual.exe"),
    }
}

#[test]
fn wsl_is_known_by_its_kernel_or_its_variable() {
    let dir = tempfile::tempdir().unwrap();
    let places = places(dir.path());
    let none = Environment::default();
    let environment = |pair: (&'static str, &'static str)| Environment::from_pairs([pair]);
    assert!(!places.wanted(&none));
    assert!(places.is_wsl(&environment(("WSL_DISTRO_NAME", "Debian"))));
    for (release, expected) in [
        ("5.15.167.4-microsoft-standard-WSL2\n", true),
        ("4.4.0-19041-Microsoft", true),
        ("6.12.8-amd64", false),
    ] {
        std::fs::write(&places.os_release, release).unwrap();
        assert_eq!(places.is_wsl(&none), expected, "{release}");
        assert_eq!(places.wanted(&none), expected, "{release}");
        assert!(!places.wanted(&environment((WslProxyLocator::VARIABLE, "off"))));
        assert!(places.wanted(&environment((WslProxyLocator::VARIABLE, "/proxy"))));
    }
}

async fn found(places: &WslProxyLocator, environment: &Environment) -> Result<(PathBuf, FoundBy)> {
    let found = places.find(environment, Duration::from_millis(700)).await?;
    Ok((found.program, found.by))
}

#[tokio::test]
async fn the_proxy_is_where_wsl_says_else_where_it_usually_is() {
    let dir = tempfile::tempdir().unwrap();
    let places = places(dir.path());
    let none = Environment::default();
    let error = found(&places, &none).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable(Missing::Broker));
    assert!(error.hint().unwrap().contains("wsl.exe --update"), "{error}");

    std::fs::write(&places.usual, "").unwrap();
    let usual = (places.usual.clone(), FoundBy::UsualPlace);
    let told = dir.path().join("told by wsl.exe");
    std::fs::write(&told, "").unwrap();
    let path = told.display();
    for (wslinfo, expected) in [
        ("exit 1".to_owned(), usual.clone()),
        ("echo Invalid argument: --msal-proxy-path".to_owned(), usual.clone()),
        // It hangs on some versions.
        ("exec sleep 1000".to_owned(), usual.clone()),
        (
            format!("[ \"$*\" = '--msal-proxy-path -n' ] && printf '{path}'"),
            (told.clone(), FoundBy::Wslinfo),
        ),
        (format!("printf '{path}\\r\\n'"), (told.clone(), FoundBy::Wslinfo)),
    ] {
        support::script(&places.wslinfo, &wslinfo);
        assert_eq!(found(&places, &none).await.unwrap(), expected, "{wslinfo}");
    }
}

#[tokio::test]
async fn the_variable_goes_before_what_wsl_says() {
    let dir = tempfile::tempdir().unwrap();
    let places = places(dir.path());
    std::fs::write(&places.usual, "").unwrap();
    let named = dir.path().join("named");
    let environment = Environment::from_pairs([(WslProxyLocator::VARIABLE, &named)]);
    let error = found(&places, &environment).await.unwrap_err();
    assert!(error.hint().unwrap().contains(WslProxyLocator::VARIABLE), "{error}");
    std::fs::write(&named, "").unwrap();
    assert_eq!(found(&places, &environment).await.unwrap(), (named, FoundBy::Variable));
}

#[tokio::test]
async fn i5_nothing_that_a_proxy_says_gets_into_logs_or_errors() {
    let mut leaks = LeakCheck::start();
    leaks.secret("the token", "marker-token-1");
    let reply = TOKEN.replace("at-1", "marker-token-1");
    let replies = [
        ("getAccounts", ACCOUNTS),
        ("acquireTokenSilently", reply.as_str()),
        ("acquireTokenInteractively", reply.as_str()),
    ];
    let good = Fake::answering(&replies);
    assert_eq!(good.silent(sample::parameters()).await.unwrap(), "marker-token-1");
    leaks.debugged("the broker", &good.broker);
    for body in [
        "echo marker-token-1; exit 1",
        "echo '{\"accounts\":\"marker-token-1\"}'",
        "echo '{\"accounts\":[' marker-token-1",
        "echo marker-token-1 >&2; exit 1",
        "echo '<3>WSL (1) said marker-token-1' >&2; exit 1",
        "printf 'marker-token-1\\377'",
    ] {
        let error = Fake::new(body).accounts(LONG).await.unwrap_err();
        leaks.shown(body, error.to_string());
        leaks.shown(body, error.causes().collect::<String>());
        leaks.debugged(body, &error);
    }
    assert!(leaks.log().contains("getAccounts"), "the log should have been captured");
    leaks.assert_clean();
}
