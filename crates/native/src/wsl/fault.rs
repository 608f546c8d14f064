//! What errors of the proxy and of Windows mean to the person.

use std::io;

use keybearer_core::{ClientId, Denial, Error, ErrorKind, Missing};
use keybearer_dbus::message::windows_proxy::ProxyFault;

use super::discovery::UPDATE;
use super::process::{Failure, Output};

/// The tag of "Invalid requestJson".
const UNKNOWN_SHAPE: i64 = 508_371_229;

/// The tag of a dialog that cannot be shown, as seen in terminals run as administrator (MSAL Python
/// issue 810).
const NO_DIALOG: i64 = 528_315_209;

/// 0xCAA20009 as a signed number: the app lacks the broker's redirect URI.
const REDIRECT_URI: i64 = -895_352_823;

const NOT_ELEVATED: &str = "use a terminal that does not run as administrator";

/// The program did not do its work.
pub(super) fn failed(failure: Failure) -> Error {
    let unavailable = |message: &str, error: io::Error| {
        Error::unavailable(Missing::Broker, message).with_source(error)
    };
    match failure {
        Failure::TooMuch => Error::protocol("a reply of the Windows broker", "more than 4 MiB"),
        Failure::Unreadable(error) => {
            unavailable("could not read the reply of the Windows proxy", error)
        }
        Failure::Start(error) => {
            let hint = match error.kind() {
                io::ErrorKind::NotFound => UPDATE,
                io::ErrorKind::ArgumentListTooLong => "ask for fewer scopes and claims at a time",
                io::ErrorKind::PermissionDenied => "check who may execute the proxy",
                // The kernel does not know what to do with a Windows program.
                _ => {
                    "allow Windows programs ([interop] enabled=true in /etc/wsl.conf), then run \
                     `wsl.exe --shutdown`"
                }
            };
            unavailable("could not start the proxy to the Windows broker", error).with_hint(hint)
        }
    }
}

/// The program ended without a word.
pub(super) fn no_reply(output: &Output) -> Error {
    let message =
        format!("the proxy to the Windows broker ended ({}) with no answer", output.status);
    let error = Error::unavailable(Missing::Broker, message);
    match output.error_of_wsl() {
        Some(reason) => {
            error.with_source(reason).with_hint("run `wsl.exe --shutdown` in Windows and try again")
        }
        None => error.with_hint(format!("{NOT_ELEVATED}, or {UPDATE}")),
    }
}

/// The same error with what can be done about it.
pub(super) fn with_next_step(
    error: Error,
    fault: ProxyFault,
    client_id: Option<&ClientId>,
) -> Error {
    let code = error.context().code.as_deref();
    let redirect_uri =
        matches!(code, Some("AADSTS50011" | "AADSTS7000218")) || fault.error_code == REDIRECT_URI;
    if let (true, Some(client_id)) = (redirect_uri, client_id) {
        let public = match code {
            Some("AADSTS7000218") => ", and allow public client flows",
            _ => "",
        };
        return with_kind(error, ErrorKind::Denied(Denial::Configuration)).with_hint(format!(
            "add the redirect URI ms-appx-web://Microsoft.AAD.BrokerPlugin/{client_id} to the app's \
             registration (platform Mobile and desktop applications){public}"
        ));
    }
    match fault.tag {
        UNKNOWN_SHAPE => {
            let received = "the refusal of a request it does not know (tag 508371229)";
            Error::protocol("a reply of the Windows broker", received).with_hint(UPDATE)
        }
        NO_DIALOG => {
            with_kind(error, ErrorKind::Unavailable(Missing::UserInterface)).with_hint(NOT_ELEVATED)
        }
        _ if matches!(error.kind(), ErrorKind::Protocol { .. }) && error.hint().is_none() => {
            error.with_hint(UPDATE)
        }
        _ => error,
    }
}

fn with_kind(error: Error, kind: ErrorKind) -> Error {
    Error::from_parts(kind, error.context().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(context: &str, fault: ProxyFault) -> Error {
        let mut error = Error::new(ErrorKind::Internal, context).context().clone();
        error.code = context.split(':').next().filter(|c| c.starts_with("AADSTS")).map(Into::into);
        let error = Error::from_parts(ErrorKind::Internal, error);
        with_next_step(error, fault, Some(&ClientId::parse("app-1").unwrap()))
    }

    #[test]
    fn an_error_of_the_redirect_uri_names_the_one_that_windows_needs() {
        let missing = ProxyFault { error_code: REDIRECT_URI, ..ProxyFault::default() };
        for (context, fault) in [
            ("AADSTS50011: no redirect URI", ProxyFault::default()),
            ("AADSTS7000218: a secret is needed", ProxyFault::default()),
            ("(pii)", missing),
        ] {
            let error = explain(context, fault);
            assert_eq!(*error.kind(), ErrorKind::Denied(Denial::Configuration));
            let hint = error.hint().unwrap();
            assert!(hint.contains("ms-appx-web://Microsoft.AAD.BrokerPlugin/app-1"), "{hint}");
            assert_eq!(hint.contains("public client flows"), context.contains("7000218"));
            assert_eq!(
                hint.matches("://").count(),
                1,
                "other platforms' URIs only confuse: {hint}"
            );
        }
    }

    #[test]
    fn a_terminal_of_an_administrator_is_named_as_the_reason() {
        let error = explain("(pii)", ProxyFault { tag: NO_DIALOG, ..ProxyFault::default() });
        assert_eq!(error.hint(), Some(NOT_ELEVATED));
        assert_eq!(*error.kind(), ErrorKind::Unavailable(Missing::UserInterface));
    }

    #[test]
    fn other_errors_stay_as_they_are() {
        let error = explain("AADSTS53003: blocked", ProxyFault { tag: 1, error_code: 53003 });
        assert_eq!((error.kind(), error.hint()), (&ErrorKind::Internal, None));
    }
}
