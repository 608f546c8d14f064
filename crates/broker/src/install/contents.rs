use std::path::Path;

use keybearer_core::{Error, Result};
use keybearer_dbus::interface::BUS_NAME;

use super::Units;

pub(super) const ACTIVATION_FILE: &str = "com.microsoft.identity.broker1.service";
pub(super) const SERVICE_UNIT: &str = "keybearer-broker.service";
pub(super) const SOCKET_UNIT: &str = "keybearer-broker.socket";

/// The program's path in double quotes, which both kinds of files understand. They differ in how they
/// escape special characters, so paths with such characters are refused.
pub(super) fn quoted(program: &Path) -> Result<String> {
    let wrong = |what: &str| {
        Error::internal(format!("could not install {}: {what}", program.display()))
            .with_hint("move the program to an absolute path of ordinary characters")
    };
    let text = program.to_str().ok_or_else(|| wrong("its path is not text"))?;
    if !program.is_absolute() {
        return Err(wrong("its path is not absolute"));
    }
    if text.contains(|c: char| c.is_control() || "\"'\\$%`".contains(c)) {
        return Err(wrong("its path has characters with a special meaning in unit files"));
    }
    Ok(format!("\"{text}\""))
}

/// D-Bus Specification, "Message Bus Starting Services". A bus that does not start services with
/// systemd ignores the unit.
pub(super) fn activation(program: &str, units: Units) -> String {
    let unit = match units {
        Units::Written => format!("SystemdService={SERVICE_UNIT}\n"),
        Units::Left => String::new(),
    };
    format!("[D-BUS Service]\nName={BUS_NAME}\nExec={program} broker run\n{unit}")
}

/// The unit has no sandbox, because the browser that the broker starts would inherit it. The broker
/// protects its own memory itself.
pub(super) fn service(program: &str) -> String {
    format!(
        "[Unit]\n\
         Description=Keybearer, the authentication broker of this user\n\
         \n\
         [Service]\n\
         Type=notify\n\
         ExecStart={program} broker run\n\
         # A browser that a sign-in started stays when the broker ends.\n\
         KillMode=process\n\
         LimitCORE=0\n\
         Restart=on-failure\n"
    )
}

pub(super) fn socket() -> String {
    "[Unit]\n\
     Description=Keybearer, the socket of the authentication broker\n\
     \n\
     [Socket]\n\
     ListenStream=%t/keybearer/broker.sock\n\
     SocketMode=0600\n\
     DirectoryMode=0700\n\
     \n\
     [Install]\n\
     WantedBy=sockets.target\n"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_space_is_quoted_and_one_with_a_meaning_is_refused() {
        let path = |text: &str| quoted(Path::new(text));
        assert_eq!(path("/opt/my apps/keybearer").unwrap(), "\"/opt/my apps/keybearer\"");
        for wrong in ["keybearer", "/opt/100%/k", "/opt/$HOME/k", "/opt/\"/k", "/opt/a\nExec=b"] {
            assert!(path(wrong).unwrap_err().hint().is_some(), "{wrong}");
        }
    }
}
