//! The caller's side of a sign-in: the terminal and the desktop that this program was started in.
//!
//! Prompts go to standard error and input comes from the terminal, so that standard output has only
//! the answer (invariant I10).

mod key;
mod picker;
mod texts;
#[cfg_attr(not(unix), path = "tty_elsewhere.rs")]
mod tty;

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use async_trait::async_trait;
use keybearer_client::DesktopUi;
use keybearer_core::{
    Abilities, Account, AccountPick, CallerUi, Error, PastedAnswer, Result, SignInAddress,
    SignInMethod, SignInOptions, SshSession, Terminal, UserCode,
};
use keybearer_host::Environment;
use url::Url;

use key::Key;
use picker::Picker;
pub(crate) use texts::Style;
use tty::Tty;

/// The sign-in options with this program's terminal and desktop.
pub(crate) fn sign_in_options(method: SignInMethod) -> SignInOptions {
    let environment = Environment::current();
    let is_terminal =
        cfg!(unix) && std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    // With these methods the person reads standard error, even if it is not a terminal.
    let asked = matches!(method, SignInMethod::DeviceCode | SignInMethod::Paste);
    let terminal = (is_terminal || asked).then(|| Terminal { ssh: ssh_session(&environment) });
    let caller_ui = TerminalUi {
        terminal,
        is_terminal,
        style: Style::of(&environment, is_terminal),
        desktop: DesktopUi::new(&environment),
    };
    SignInOptions { method, caller_ui: Some(Arc::new(caller_ui)) }
}

/// The SSH session this program runs in, as far as its environment says.
pub(crate) fn ssh_session(environment: &Environment) -> Option<SshSession> {
    let connection = environment.text("SSH_CONNECTION")?;
    let mut words = connection.split_ascii_whitespace().skip(2);
    let host = words.next()?;
    let user = environment.text("USER").or_else(|| environment.text("LOGNAME"));
    let user = user.map_or_else(String::new, |user| format!("{user}@"));
    let destination = match words.next() {
        None | Some("22") => format!("{user}{host}"),
        Some(port) => format!("-p {port} {user}{host}"),
    };
    Some(SshSession { destination })
}

#[derive(Debug)]
struct TerminalUi {
    terminal: Option<Terminal>,
    is_terminal: bool,
    style: Style,
    desktop: DesktopUi,
}

#[async_trait]
impl CallerUi for TerminalUi {
    fn abilities(&self) -> Abilities {
        Abilities { terminal: self.terminal.clone(), ..self.desktop.abilities() }
    }

    async fn open_browser(&self, url: &Url) -> Result<()> {
        self.desktop.open_browser(url).await
    }

    async fn point_to_browser(&self) {
        if self.is_terminal {
            say("waiting for the sign-in in the browser; press Ctrl-C to cancel\n");
        }
    }

    async fn choose_account(&self, accounts: &[Account]) -> Result<AccountPick> {
        if !self.is_terminal {
            return Err(without_choice(accounts));
        }
        let mut picker = Picker::new(accounts);
        let mut tty = Tty::open()?;
        let chosen = match self.style {
            Style::Plain => picker.ask_in_lines(&mut tty).await,
            Style::Rich => picker.ask(&mut tty).await,
        };
        chosen?.ok_or_else(|| Error::cancelled("no account was chosen"))
    }

    async fn show_user_code(&self, code: &UserCode) -> Result<()> {
        say(&texts::user_code(code, self.style));
        Ok(())
    }

    async fn show_address(&self, address: &SignInAddress) -> Result<()> {
        let ssh = self.terminal.as_ref().and_then(|terminal| terminal.ssh.as_ref());
        say(&texts::address(address, ssh));
        Ok(())
    }

    async fn paste(&self, complaint: Option<&str>) -> Result<PastedAnswer> {
        if let Some(complaint) = complaint {
            say(&format!("that did not work: {complaint}\n"));
        }
        if !self.is_terminal {
            return read_line().await;
        }
        let mut tty = Tty::open()?;
        say("paste it here (it is not shown): ");
        let line = pasted_line(&mut tty).await;
        say("\n");
        line
    }
}

/// Reads what is typed or pasted up to the end of the line. It contains a code, so it is not echoed.
/// It is read key by key, because a terminal limits a line to 4,095 bytes.
async fn pasted_line(tty: &mut Tty) -> Result<PastedAnswer> {
    let mut line = String::new();
    loop {
        match tty.key().await? {
            Key::Character(c) => line.push(c),
            Key::Backspace => {
                line.pop();
            }
            Key::Clear => line.clear(),
            Key::Enter if line.trim().is_empty() => {}
            Key::Enter => return Ok(PastedAnswer::new(line)),
            Key::End => {
                return Err(Error::cancelled("the address was not pasted: the input has ended"));
            }
            Key::Escape | Key::Up | Key::Down | Key::Other => {}
        }
    }
}

async fn read_line() -> Result<PastedAnswer> {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let mut line = String::new();
    let read = BufReader::new(tokio::io::stdin()).read_line(&mut line).await;
    match read {
        Ok(0) => Err(Error::cancelled("the address was not pasted: the input has ended")),
        Ok(_) => Ok(PastedAnswer::new(line)),
        Err(error) => Err(Error::internal("could not read standard input").with_source(error)),
    }
}

fn without_choice(accounts: &[Account]) -> Error {
    let names = Account::enumerated(accounts);
    Error::interaction_required(format!("accounts are connected and none was chosen: {names}"))
        .with_hint(
            "name one with `--account`, or sign another one in with `keybearer login --login-hint`",
        )
}

/// Prints to standard error. If that is closed, there is no other place to report it.
fn say(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_over_ssh_is_what_this_side_knows_of_it() {
        for (connection, user, expected) in [
            ("10.0.0.9 51000 10.0.0.5 22", Some("dev"), Some("dev@10.0.0.5")),
            ("::1 51000 ::1 2222", Some("dev"), Some("-p 2222 dev@::1")),
            ("10.0.0.9 51000 10.0.0.5", None, Some("10.0.0.5")),
            ("odd", Some("dev"), None),
            ("", Some("dev"), None),
        ] {
            let pairs = [("SSH_CONNECTION", Some(connection)), ("USER", user)];
            let pairs = pairs.into_iter().filter_map(|(name, value)| Some((name, value?)));
            let session = ssh_session(&Environment::from_pairs(pairs));
            assert_eq!(session.map(|session| session.destination).as_deref(), expected);
        }
    }
}
