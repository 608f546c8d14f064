use keybearer_core::{SignInAddress, SshSession, UserCode};
use keybearer_host::Environment;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// Which output the terminal supports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    /// Characters only.
    Plain,
    /// Colours and cursor movements too, ECMA-48.
    Rich,
}

impl Style {
    /// The style for this environment, <https://no-color.org>.
    pub(crate) fn of(environment: &Environment, is_terminal: bool) -> Self {
        let dumb = environment.text("TERM").is_none_or(|term| term == "dumb");
        match is_terminal && !dumb && !environment.has("NO_COLOR") {
            true => Self::Rich,
            false => Self::Plain,
        }
    }
}

/// The text for a code to enter on another device.
pub(super) fn user_code(code: &UserCode, style: Style) -> String {
    let uri = &code.verification_uri;
    let minutes = code.expires_in.as_secs().div_ceil(60);
    let qr = qr_code(uri.as_str(), style).unwrap_or_default();
    format!(
        "To sign in, open this page on any device\n\n  {uri}\n\n{qr}and enter the code\n\n  \
         {}\n\nEnter it only if you started this sign-in yourself. It is valid for {minutes} minutes. \
         Press Ctrl-C to cancel.\n",
        code.user_code
    )
}

/// The text for an address to sign in at elsewhere, and how the answer comes back.
pub(super) fn address(address: &SignInAddress, ssh: Option<&SshSession>) -> String {
    let mut text = format!("Open this address in a browser and sign in:\n\n  {}\n\n", address.url);
    match (address.port, ssh) {
        (Some(port), Some(ssh)) => text.push_str(&format!(
            "The answer comes back by itself if you first run this on the machine with the browser:\n\n  \
             ssh -N -L {port}:localhost:{port} {}\n\nOtherwise the browser",
            ssh.destination
        )),
        (Some(port), None) => text.push_str(&format!(
            "The answer comes back by itself if the browser reaches port {port} of this machine as \
             localhost.\nOtherwise it"
        )),
        (None, _) => text.push_str("The browser"),
    }
    text.push_str(
        " ends at a page that does not open. Copy the whole address of that page.\n\
         For a short code instead, run `keybearer login --device-code`. Press Ctrl-C to cancel.\n\n",
    );
    text
}

/// Draws a QR code with half a character cell for each module. Without colours its polarity depends
/// on the terminal; readers accept both.
fn qr_code(text: &str, style: Style) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let picture =
        code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    let line = |line: &str| match style {
        Style::Plain => format!("  {line}\n"),
        Style::Rich => format!("  \x1b[97;40m{line}\x1b[0m\n"),
    };
    Some(picture.lines().map(line).collect::<String>() + "\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        for (pairs, is_terminal, expected) in [
            (&[("TERM", "xterm")][..], true, Style::Rich),
            (&[("TERM", "xterm")], false, Style::Plain),
            (&[("TERM", "xterm"), ("NO_COLOR", "1")], true, Style::Plain),
            (&[("TERM", "dumb")], true, Style::Plain),
            (&[], true, Style::Plain),
        ] {
            let environment = Environment::from_pairs(pairs.iter().copied());
            assert_eq!(Style::of(&environment, is_terminal), expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_code_is_shown_with_its_page_as_text_and_as_a_picture() {
        let code = UserCode {
            user_code: "ABCDEFGHJ".into(),
            verification_uri: "https://login.microsoft.com/device".parse().unwrap(),
            expires_in: Duration::from_secs(899),
        };
        let plain = user_code(&code, Style::Plain);
        for part in ["https://login.microsoft.com/device", "  ABCDEFGHJ\n", "15 minutes"] {
            assert!(plain.contains(part), "{plain}");
        }
        assert!(!plain.contains('\x1b'));
        let picture: Vec<&str> =
            plain.lines().filter(|line| line.contains(['█', '▀', '▄'])).collect();
        assert!(picture.len() > 10, "{plain}");
        assert!(user_code(&code, Style::Rich).contains("\x1b[97;40m"));
    }

    #[test]
    fn an_address_comes_with_every_way_for_the_answer_to_come_back() {
        let url: url::Url = "https://login.example/authorize?x=1".parse().unwrap();
        let ssh = SshSession { destination: "dev@10.0.0.5".into() };
        for (port, ssh, expected, not) in [
            (Some(27410), Some(&ssh), "ssh -N -L 27410:localhost:27410 dev@10.0.0.5\n", "reaches"),
            (Some(27410), None, "port 27410", "ssh -N"),
            (None, Some(&ssh), "The browser ends at", "ssh -N"),
        ] {
            let text = address(&SignInAddress { url: url.clone(), port }, ssh);
            assert!(text.contains(url.as_str()) && text.contains("--device-code"), "{text}");
            assert!(text.contains(expected) && !text.contains(not), "{text}");
        }
    }
}
