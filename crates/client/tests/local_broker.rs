//! Finding the broker of this machine, on a machine made for the test.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot continue fails")]

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keybearer_client::{BrokerChoice, LocalBroker, LocalBrokerOptions, start_broker};
use keybearer_core::{
    AccountsRequest, Broker, CorrelationId, Denial, Error, ErrorKind, InteractiveRequest, Missing,
    Prompt, Result, SilentRequest, TokenParameters,
};
use keybearer_dbus::server::serve_socket;
use keybearer_emulator::Home;
use keybearer_host::Environment;
use keybearer_testkit::double::{Answer, ScriptedBroker};
use keybearer_testkit::sample;
use tokio::net::UnixListener;

/// A machine on which nothing of Keybearer runs or is installed.
fn bare_machine() -> (Home, Environment) {
    let home = Home::new().unwrap();
    let no_programs = home.make_private("bin").unwrap();
    let no_bus = format!("unix:path={}", home.at("no-bus").display());
    let home = home
        .with("PATH", no_programs)
        // The machine that runs the tests may be WSL.
        .with("KEYBEARER_WSL_PROXY", "off")
        .with("DBUS_SESSION_BUS_ADDRESS", no_bus);
    let environment = Environment::from_pairs(home.variables());
    (home, environment)
}

fn socket(home: &Home) -> UnixListener {
    home.make_private("run/keybearer").unwrap();
    UnixListener::bind(home.socket()).unwrap()
}

fn broker(environment: &Environment, choice: BrokerChoice) -> LocalBroker {
    let options = LocalBrokerOptions { choice, ..LocalBrokerOptions::default() };
    LocalBroker::new(environment.clone(), options)
}

async fn accounts(broker: &LocalBroker, limit: Duration) -> Result<usize> {
    let correlation_id = CorrelationId::new("c");
    let request =
        AccountsRequest { client_id: None, correlation_id, deadline: sample::deadline(limit) };
    broker.accounts(request).await.map(|accounts| accounts.len())
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn with_nothing_installed_the_error_says_what_was_tried() {
    let (_home, environment) = bare_machine();
    let error = accounts(&broker(&environment, BrokerChoice::Required), LONG).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable(Missing::Broker));
    for part in ["run/keybearer", "session bus", "not installed"] {
        assert!(error.message().contains(part), "{error}");
    }
}

#[tokio::test]
async fn with_nothing_installed_this_process_does_the_work() {
    let (_home, environment) = bare_machine();
    for choice in [BrokerChoice::Auto, BrokerChoice::Never] {
        assert_eq!(accounts(&broker(&environment, choice), LONG).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_program_that_does_not_become_a_broker_is_quoted() {
    let (home, environment) = bare_machine();
    let program = home.at("bin/keybearer");
    std::fs::write(&program, "#!/bin/sh\necho 'error: the store is not ours' >&2\nexit 1\n")
        .unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = accounts(&broker(&environment, BrokerChoice::Required), LONG).await.unwrap_err();
    assert!(error.message().contains("the store is not ours"), "{error}");
}

/// A program that waits for its children, or holds a lock by a descriptor, must not wait for the
/// broker it happened to start.
#[tokio::test]
async fn a_broker_that_is_started_is_nobodys_child_and_holds_nobodys_files() {
    let (home, _) = bare_machine();
    let (held, seen) = (home.at("held"), home.at("seen"));
    let file = std::fs::File::create(&held).unwrap();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    let program = home.at("bin/keybearer");
    let script = format!(
        "#!/bin/sh\n{{ cut -d' ' -f1,4,6 /proc/$$/stat; ls -l /proc/$$/fd; }} > {seen}\necho ready\n",
        seen = seen.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    start_broker(&program, &home.at("run/keybearer"), LONG).await.unwrap();
    let seen = std::fs::read_to_string(seen).unwrap();
    let (ids, files) = seen.split_once('\n').unwrap();
    let [broker, parent, session] =
        ids.split(' ').map(|id| id.parse().unwrap()).collect::<Vec<u32>>()[..]
    else {
        panic!("{ids}");
    };
    assert_ne!(parent, std::process::id());
    assert_eq!(session, broker);
    assert!(!files.contains("held"), "{files}");
}

#[tokio::test]
async fn a_socket_that_says_nothing_does_not_hold_up_a_caller_inv_i7() {
    let (home, environment) = bare_machine();
    let _silent = socket(&home);
    let started = Instant::now();
    let limit = Duration::from_millis(500);
    let error = accounts(&broker(&environment, BrokerChoice::Required), limit).await.unwrap_err();
    let ended = [ErrorKind::TimedOut, ErrorKind::Unavailable(Missing::Broker)];
    assert!(ended.contains(error.kind()), "{error}");
    assert!(started.elapsed() < limit + Duration::from_millis(200), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_broker_that_went_away_is_found_again_for_the_next_call() {
    let (home, environment) = bare_machine();
    let listener = socket(&home);
    let double = Arc::new(ScriptedBroker::new());
    for _ in 0..2 {
        double.on_accounts(Answer::Now(Ok(vec![sample::account()])));
    }
    double.on_interactive(Answer::Now(Err(Error::cancelled("the person gave up"))));
    let serving = double.clone();
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            let connection = tokio::spawn(serve_socket(stream, serving.clone(), number));
            // The first connection is cut as soon as it has answered.
            if number == 0 {
                serving.wait_for_calls(1).await;
                connection.abort();
            }
        }
    });
    let broker = broker(&environment, BrokerChoice::Required);
    let first = broker.connect(LONG).await.unwrap();
    assert_eq!(accounts(&broker, LONG).await.unwrap(), 1);
    let cut = async {
        while !first.is_closed() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, cut).await.unwrap();
    // Also by a call that is never repeated.
    let parameters = TokenParameters { deadline: sample::deadline(LONG), ..sample::parameters() };
    let request = InteractiveRequest::new(parameters, Prompt::IfNeeded);
    let error = broker.acquire_interactive(request).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Cancelled, "{error}");
    assert_eq!(accounts(&broker, LONG).await.unwrap(), 1);
}

#[tokio::test]
async fn an_answer_of_the_broker_is_not_replaced_by_work_in_this_process() {
    let (home, environment) = bare_machine();
    let listener = socket(&home);
    let double = Arc::new(ScriptedBroker::new());
    double.on_accounts(Answer::Now(Err(Error::cancelled("the person gave up"))));
    let serving = double.clone();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve_socket(stream, serving, 0).await
    });
    let error = accounts(&broker(&environment, BrokerChoice::Auto), LONG).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Cancelled);
}

#[tokio::test]
async fn what_a_broker_lacks_this_process_may_have() {
    // What the broker answers, and the kind the caller sees: nobody has signed in here.
    let cases = [
        (Error::unavailable(Missing::DeviceRegistration, "not joined"), "interaction_required"),
        (Error::unavailable(Missing::Key, "the keyring is locked"), "interaction_required"),
        (Error::internal("the store is damaged"), "interaction_required"),
        (Error::new(ErrorKind::Denied(Denial::Server), "AADSTS53003"), "denied"),
        (Error::transient(None, "busy"), "transient"),
    ];
    for (answer, expected) in cases {
        let (home, environment) = bare_machine();
        let listener = socket(&home);
        let double = Arc::new(ScriptedBroker::new());
        double.on_silent(Answer::Now(Err(answer.clone())));
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            serve_socket(stream, double, 0).await
        });
        let parameters =
            TokenParameters { deadline: sample::deadline(LONG), ..sample::parameters() };
        let request = SilentRequest { parameters };
        let result = broker(&environment, BrokerChoice::Auto).acquire_silent(request).await;
        let error = result.unwrap_err();
        assert_eq!(error.kind().name(), expected, "{answer}");
        // What the broker said is not lost, and nothing is said twice.
        let lines: Vec<String> = std::iter::once(error.message()).chain(error.causes()).collect();
        let text = lines.join("\n");
        assert!(text.matches("correlation id").count() <= 1, "{text}");
        assert!(lines.iter().all(|line| text.matches(line).count() == 1), "{text}");
        let said: Vec<String> = error.causes().chain([error.message()]).collect();
        assert!(said.iter().any(|said| said.contains(&answer.context().message)), "{said:?}");
    }
}

#[tokio::test]
async fn on_windows_and_in_wsl_a_missing_broker_lets_a_chain_go_on() {
    let (home, _) = bare_machine();
    let environment = Environment::from_pairs([
        ("HOME", home.at("").into_os_string()),
        ("PATH", home.at("bin").into_os_string()),
        ("XDG_RUNTIME_DIR", home.at("run").into_os_string()),
        ("WSL_DISTRO_NAME", "Debian".into()),
    ]);
    let error = accounts(&broker(&environment, BrokerChoice::Auto), LONG).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable(Missing::Broker));
    // `BrokerChoice::Never` signs in from this process there, too.
    assert_eq!(accounts(&broker(&environment, BrokerChoice::Never), LONG).await.unwrap(), 0);
}

/// The environment problem: the broker may have been started without a display, or with another.
#[tokio::test]
async fn the_broker_is_offered_the_browser_of_the_programs_own_environment() {
    use keybearer_core::{InteractiveRequest, Prompt};
    use keybearer_testkit::double::Received;
    let (home, bare) = bare_machine();
    let (script, opened) = (home.at("browser"), home.at("opened"));
    std::fs::write(&script, format!("#!/bin/sh\nprintf %s \"$1\" > {}\n", opened.display()))
        .unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let variables = ["HOME", "PATH", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"];
    let variables = variables.map(|name| (name, bare.value(name).unwrap().to_owned()));
    let browser = ("BROWSER", script.into_os_string());
    let desktop = Environment::from_pairs(variables.into_iter().chain([browser]));
    let listener = socket(&home);
    let double = Arc::new(ScriptedBroker::new());
    let serving = double.clone();
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve_socket(stream, serving.clone(), number));
        }
    });
    let mut calls = Vec::new();
    for (environment, has_browser) in [(bare, false), (desktop, true)] {
        double.on_interactive(Answer::Hang);
        let broker = broker(&environment, BrokerChoice::Required);
        let request = InteractiveRequest::new(sample::parameters(), Prompt::Login);
        let call = tokio::spawn(async move { broker.acquire_interactive(request).await });
        double.wait_for_calls(1 + usize::from(has_browser)).await;
        let Some(Received::Interactive(arrived)) = double.received().pop() else { panic!() };
        let sign_in_options = arrived.sign_in_options;
        assert_eq!(sign_in_options.abilities().browser, has_browser);
        let caller_ui = sign_in_options.caller_ui.unwrap();
        let shown = caller_ui.open_browser(&"http://localhost:1/x".parse().unwrap()).await;
        assert_eq!(shown.is_ok(), has_browser);
        calls.push(call);
    }
    assert_eq!(std::fs::read_to_string(opened).unwrap(), "http://localhost:1/x");
}
