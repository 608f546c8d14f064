//! Signing in without a display: the real program at a terminal, the real broker, the emulator, and a
//! person whose browser is somewhere else.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use keybearer_emulator::{Home, Running, eventually};
use rustix::process::Signal;

use crate::home::complaint;
use crate::provider::Provider;
use crate::terminal::Terminal;

const DEV: &str = "dev@contoso.example";
const OPS: &str = "ops@contoso.example";
const SSH: (&str, &str) = ("SSH_CONNECTION", "10.0.0.9 51000 10.0.0.5 22");

fn login(home: &Home, arguments: &str) -> Terminal {
    let arguments = format!("login {arguments}");
    Terminal::start(&home.keybearer(arguments.split_whitespace()))
}

/// The last word on the screen that begins like this.
fn word(shown: &str, beginning: &str) -> String {
    let mut words = shown.split_whitespace();
    words.rfind(|word| word.starts_with(beginning)).unwrap().to_owned()
}

pub(crate) fn address(shown: &str) -> String {
    shown.split_whitespace().rfind(|word| word.contains("/authorize?")).unwrap().to_owned()
}

/// Connects an account by pasting.
pub(crate) fn connect(provider: &Provider, home: &Home, user: &str) {
    let mut terminal = login(home, &format!("--paste --login-hint {user}"));
    let shown = terminal.wait_for("paste it here");
    let ended_at = provider.sign_in(user, &address(&shown));
    terminal.wait_until_it_listens();
    terminal.press(&format!("{ended_at}\r"));
    let ended = terminal.end();
    assert_eq!(ended.code, Some(0), "{}", ended.shown);
}

#[test]
fn a_device_code_is_entered_elsewhere_and_the_answer_alone_is_on_standard_output_inv_i10() {
    let provider = Provider::start();
    let home = provider.home();
    let mut terminal = login(&home, "--device-code");
    let shown = terminal.wait_for("valid for");
    assert!(shown.contains(['█', '▀', '▄']), "{shown}");
    let page = word(&shown, "https://");
    let code = shown.split("enter the code").nth(1).unwrap().split_whitespace().next().unwrap();
    provider.sign_in(DEV, &format!("{page}?user_code={code}"));
    let ended = terminal.end();
    assert_eq!(ended.code, Some(0), "{}", ended.shown);
    assert!(ended.stdout.starts_with(&format!("signed in as {DEV}")), "{}", ended.stdout);
    assert_eq!(ended.stdout.lines().count(), 1);
    let token = home.run("token --silent --scope https://storage.azure.com/.default");
    assert_eq!(token.status.code(), Some(0), "{}", complaint(&token));
}

#[test]
fn a_device_code_is_shown_without_a_terminal_too_and_then_without_colours() {
    let provider = Provider::start();
    let home = provider.home();
    let output = home.run("login --device-code --timeout 2");
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    let shown = complaint(&output);
    assert!(shown.contains("enter the code") && !shown.contains('\x1b'), "{shown}");
    assert!(output.stdout.is_empty());
}

#[test]
fn what_is_pasted_is_explained_if_wrong_and_never_shown_inv_i5() {
    let provider = Provider::start();
    let home = provider.home();
    let mut terminal = login(&home, "--paste");
    let shown = terminal.wait_for("paste it here");
    let address = address(&shown);
    let ended_at = provider.sign_in(DEV, &address);
    let (_, answer) = ended_at.split_once('?').unwrap();
    for (pasted, complaint) in [
        (address.clone(), "contains no answer"),
        (format!("{answer}&state=x"), "another sign-in"),
        (answer.replace("state=", "else="), "is incomplete"),
    ] {
        terminal.wait_until_it_listens();
        terminal.press(&format!("{pasted}\r"));
        terminal.wait_for(complaint);
    }
    terminal.wait_until_it_listens();
    terminal.press(&format!("{ended_at}\r"));
    let ended = terminal.end();
    assert_eq!(ended.code, Some(0), "{}", ended.shown);
    let code = answer.split("code=").nth(1).unwrap().split('&').next().unwrap();
    assert!(!ended.shown.contains(code), "{}", ended.shown);
}

#[test]
fn a_long_paste_arrives_whole() {
    let provider = Provider::start();
    let home = provider.home();
    let mut terminal = login(&home, "--paste");
    let shown = terminal.wait_for("paste it here");
    let ended_at = provider.sign_in(DEV, &address(&shown));
    terminal.wait_until_it_listens();
    // Longer than the 4,095 bytes that a terminal takes for a line.
    terminal.press(&format!("{ended_at}&session_state={}\r", "x".repeat(6000)));
    let ended = terminal.end();
    assert_eq!(ended.code, Some(0), "{}", ended.shown);
}

#[test]
fn over_ssh_the_answer_comes_back_through_the_forwarded_port() {
    let provider = Provider::start();
    let home = provider.home().with(SSH.0, SSH.1).with("USER", "dev");
    let mut terminal = login(&home, "");
    let shown = terminal.wait_for("paste it here");
    let port = shown.split("ssh -N -L ").nth(1).unwrap().split(':').next().unwrap();
    assert!(shown.contains(&format!("-L {port}:localhost:{port} dev@10.0.0.5\n")), "{shown}");
    let address = address(&shown);
    assert!(address.contains(&format!("localhost%3A{port}")), "{address}");
    // The person's machine is this one, so the port needs no forwarding.
    provider.sign_in(DEV, &address);
    let ended = terminal.end();
    assert_eq!(ended.code, Some(0), "{}", ended.shown);
    assert!(ended.stdout.starts_with(&format!("signed in as {DEV}")));
}

#[test]
fn over_ssh_pasting_will_do_if_the_port_is_not_forwarded() {
    let provider = Provider::start();
    let home = provider.home().with(SSH.0, SSH.1);
    let mut terminal = login(&home, "");
    let shown = terminal.wait_for("paste it here");
    let port = shown.split("ssh -N -L ").nth(1).unwrap().split(':').next().unwrap();
    // Nothing listens there, so the answer is only in the browser's address.
    let elsewhere = address(&shown);
    let ended_at = provider.sign_in_elsewhere(DEV, &elsewhere);
    assert!(ended_at.starts_with(&format!("http://localhost:{port}/?code=")), "{ended_at}");
    terminal.wait_until_it_listens();
    terminal.press(&format!("{ended_at}\r"));
    let ended = terminal.end();
    assert_eq!(ended.code, Some(0), "{}", ended.shown);
}

#[test]
fn the_configured_port_is_the_one_to_forward() {
    let provider = Provider::start();
    let home = provider.home().with(SSH.0, SSH.1);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    std::fs::create_dir_all(home.at(".config/keybearer")).unwrap();
    let config = format!("loopback_port = {port}\n");
    std::fs::write(home.at(".config/keybearer/config.toml"), config).unwrap();
    let mut terminal = login(&home, "");
    let shown = terminal.wait_for("paste it here");
    assert!(shown.contains(&format!("ssh -N -L {port}:localhost:{port} ")), "{shown}");
}

#[test]
fn in_a_terminal_without_display_or_ssh_the_address_is_shown_and_no_text_browser_is_started() {
    let provider = Provider::start();
    let home = provider.home();
    let witness = home.at("w3m");
    std::fs::write(&witness, format!("#!/bin/sh\ntouch {}\n", home.at("seen").display())).unwrap();
    crate::home::mode(&witness, 0o755);
    let home = home.with("BROWSER", witness.to_str().unwrap());
    let mut terminal = login(&home, "");
    let shown = terminal.wait_for("paste it here");
    assert!(shown.contains("/authorize?") && !shown.contains("ssh -N"), "{shown}");
    assert!(!witness.with_file_name("seen").exists());
}

#[test]
fn arrows_letters_and_numbers_choose_an_account() {
    let provider = Provider::start();
    let home = provider.home();
    connect(&provider, &home, OPS);
    connect(&provider, &home, DEV);
    for (keys, expected) in
        [("\x1b[B\r", OPS), ("\r", DEV), ("ops\r", OPS), ("1", DEV), ("x\x7fdev\r", DEV)]
    {
        let arguments = "token --output json --scope https://storage.azure.com/.default";
        let mut terminal = Terminal::start(&home.keybearer(arguments.split_whitespace()));
        terminal.wait_for("use another account");
        terminal.press(keys);
        let ended = terminal.end();
        assert_eq!(ended.code, Some(0), "{keys:?}: {}", ended.shown);
        let answer: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(answer["account"]["username"], expected, "{keys:?}");
    }
    let plain = home.with("NO_COLOR", "1");
    for (keys, code) in [("2\r", 0), ("\x1b", 4)] {
        let arguments = "token --output json --scope https://storage.azure.com/.default";
        let mut terminal = Terminal::start(&plain.keybearer(arguments.split_whitespace()));
        terminal.wait_for("number or name of the account: ");
        terminal.press(keys);
        let ended = terminal.end();
        assert_eq!(ended.code, Some(code), "{}", ended.shown);
        assert!(!ended.shown.contains('\x1b'), "{}", ended.shown);
    }
}

#[test]
fn without_a_terminal_several_accounts_are_listed_and_none_is_used_inv_i8() {
    let provider = Provider::start();
    let home = provider.home();
    connect(&provider, &home, OPS);
    connect(&provider, &home, DEV);
    let output = home.run("token --scope https://storage.azure.com/.default");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let complaint = complaint(&output);
    for part in [DEV, OPS, "--account"] {
        assert!(complaint.contains(part), "{complaint}");
    }
}

#[test]
fn ctrl_c_ends_the_sign_in_here_and_in_the_broker() {
    let provider = Provider::start();
    let home = provider.home().with(SSH.0, SSH.1);
    let mut terminal = login(&home, "");
    let shown = terminal.wait_for("paste it here");
    let port = shown.split("ssh -N -L ").nth(1).unwrap().split(':').next().unwrap();
    let port: u16 = port.parse().unwrap();
    terminal.wait_until_it_listens();
    let start = Instant::now();
    terminal.press("\x03");
    let ended = terminal.end();
    assert_eq!(ended.code, Some(4), "{}", ended.shown);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    eventually("the broker closes its listener", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_err().then_some(())
    });
}

/// A home with a browser that writes its address to the returned file and stays open for a while.
fn with_browser(home: Home) -> (Home, PathBuf) {
    let (script, opened) = (home.at("browser"), home.at("opened"));
    let text = format!(
        "#!/bin/sh\nprintf %s \"$1\" > {0}.new && mv {0}.new {0}\nexec sleep 10\n",
        opened.display()
    );
    std::fs::write(&script, text).unwrap();
    crate::home::mode(&script, 0o755);
    let home = home.with("BROWSER", script.to_str().unwrap());
    (home, opened)
}

#[test]
fn a_shared_sign_in_whose_page_is_open_outlives_the_program_that_began_it() {
    let provider = Provider::start();
    let home = provider.home();
    let _broker = home.start_broker("");
    let (home, opened) = with_browser(home);
    let first = Running::start(&mut home.keybearer(["login", "--browser"]));
    let address = eventually("a browser", || std::fs::read_to_string(&opened).ok());
    let mut second = login(&home, "--browser");
    second.wait_for("waiting for the sign-in in the browser");
    provider.open(&address);
    first.signal(Signal::KILL);
    first.end();
    provider.sign_in(DEV, &address);
    let ended = second.end();
    assert_eq!(ended.code, Some(0), "{}", ended.shown);
}

#[test]
fn the_browser_is_opened_in_the_callers_environment_whatever_the_brokers() {
    let provider = Provider::start();
    let home = provider.home();
    let _broker = home.start_broker("");
    let (home, opened) = with_browser(home);
    let mut terminal = login(&home, "");
    terminal.wait_for("waiting for the sign-in in the browser");
    let address = eventually("a browser", || std::fs::read_to_string(&opened).ok());
    provider.sign_in(DEV, &address);
    let ended = terminal.end();
    assert_eq!(ended.code, Some(0), "{}", ended.shown);
}

#[test]
fn a_browser_that_fails_gives_way_to_the_terminal() {
    let provider = Provider::start();
    let home = provider.home().with("BROWSER", "false");
    let mut terminal = login(&home, "");
    let shown = terminal.wait_for("paste it here");
    let ended_at = provider.sign_in(DEV, &address(&shown));
    assert!(ended_at.starts_with("http://localhost:"), "{ended_at}");
    assert_eq!(terminal.end().code, Some(0));
}

#[test]
fn with_neither_display_nor_terminal_the_error_says_where_to_sign_in() {
    let provider = Provider::start();
    let home = provider.home();
    for command in ["login", "token --interactive --scope https://storage.azure.com/.default"] {
        let output = home.run(command);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(complaint(&output).contains("`keybearer login`"), "{output:?}");
    }
}
