use keybearer_core::{ClientId, Denial, Error, ErrorContext, ErrorKind, Missing, Result};

use super::transport::{Answer, ProviderError, Response, SystemError};

/// `REGDB_E_CLASSNOTREG`: this Windows has no Web Account Manager, as Wine and Server Core.
const CLASS_NOT_REGISTERED: u32 = 0x8004_0154;
/// `ERROR_INVALID_WINDOW_HANDLE` as an `HRESULT`.
const NO_WINDOW: u32 = 0x8007_0578;
/// `ERROR_CANCELLED` and `E_ABORT`.
const CANCELLED: [u32; 2] = [0x8007_04c7, 0x8000_4004];

/// A call that failed as such, as an error.
pub(super) fn of_system(error: SystemError, action: &str) -> Error {
    let message = format!("could not {action} with Web Account Manager");
    let outcome = match error.code {
        CLASS_NOT_REGISTERED => absent(),
        NO_WINDOW => Error::invalid_request("parent_window", "the parent window is not a window")
            .with_hint("pass the handle of an existing window, or none at all"),
        code if CANCELLED.contains(&code) => Error::cancelled(message),
        _ => Error::internal(message)
            .with_hint("run `keybearer doctor`; restarting Windows renews its account service"),
    };
    outcome.with_source(error)
}

/// There is no Web Account Manager.
pub(super) fn absent() -> Error {
    Error::unavailable(Missing::Broker, "could not find Web Account Manager: this Windows has none")
        .with_hint(
            "use Windows 10 version 1703, Windows Server 2019 or newer, or sign in with \
                    the browser",
        )
}

/// The response of a successful answer, or the error it stands for. The numbers are those of
/// `WebTokenRequestStatus`.
pub(super) fn check<'a>(answer: &'a Answer, client_id: &ClientId) -> Result<&'a Response> {
    const SUCCESS: i32 = 0;
    const USER_CANCEL: i32 = 1;
    const ACCOUNT_SWITCH: i32 = 2;
    const USER_INTERACTION_REQUIRED: i32 = 3;
    const ACCOUNT_PROVIDER_NOT_AVAILABLE: i32 = 4;
    const PROVIDER_ERROR: i32 = 5;
    let error = answer.error.clone().unwrap_or_default();
    Err(match answer.status {
        SUCCESS | ACCOUNT_SWITCH => {
            let response = answer.response.as_ref();
            return response.ok_or_else(|| Error::protocol("a token", "a success without one"));
        }
        USER_CANCEL => Error::cancelled("the sign-in was closed"),
        USER_INTERACTION_REQUIRED => {
            let kind = ErrorKind::InteractionRequired { claims: None, suberror: None };
            provider_error(kind, &error, "sign-in is required by Windows")
        }
        ACCOUNT_PROVIDER_NOT_AVAILABLE => {
            let kind = ErrorKind::Unavailable(Missing::Broker);
            provider_error(kind, &error, "this Windows has no provider for such accounts")
        }
        PROVIDER_ERROR => of_provider(&error, client_id),
        other => {
            let status = format!("status {other} ({:#010x})", error.code);
            Error::protocol("a known status of Web Account Manager", status)
        }
    })
}

/// The error table. Source: the facilities and codes MSAL.NET goes by (MIT); the text is the
/// server's and often has the better code in it.
pub(super) fn of_provider(error: &ProviderError, client_id: &ClientId) -> Error {
    let facility = (error.code >> 16) & 0x1fff;
    let aadsts = aadsts(&error.message);
    let wrong_redirect = matches!(aadsts.as_deref(), Some("AADSTS50011" | "AADSTS7000218"));
    let kind = match (error.code, facility) {
        _ if wrong_redirect => ErrorKind::Denied(Denial::Configuration),
        // The server is busy; or Windows started the plug-in for nothing.
        (0xcaa2_0005 | 0xcaa2_0008 | 0x8008_0300, _) => ErrorKind::Transient { retry_after: None },
        // HTTP, URL and internet facilities: the network.
        (_, 0xaa3 | 0xaa7 | 0xaa8) => ErrorKind::Unavailable(Missing::Network),
        // The background infrastructure of the plug-in.
        (_, 0xaad) => ErrorKind::Transient { retry_after: None },
        // The developer's mistake: nearly always the redirect URI.
        (_, 0xaa1) => ErrorKind::Denied(Denial::Configuration),
        // E_INVALIDARG: the plug-in wants other properties.
        (0x8007_0057, _) => ErrorKind::Denied(Denial::Configuration),
        _ => ErrorKind::Denied(Denial::Server),
    };
    let redirect = wrong_redirect || (facility == 0xaa1 && aadsts.is_none());
    let error = provider_error(kind, error, "the account provider of Windows failed");
    if redirect { error.with_hint(redirect_hint(client_id)) } else { error }
}

/// The one redirect URI Windows uses for an app; it is not part of the request.
fn redirect_hint(client_id: &ClientId) -> String {
    format!(
        "add ms-appx-web://microsoft.aad.brokerplugin/{client_id} to the redirect URIs of the app \
         registration {client_id}, under the platform \"Mobile and desktop applications\", and \
         allow public client flows"
    )
}

fn provider_error(kind: ErrorKind, error: &ProviderError, what: &str) -> Error {
    let mut message = what.to_owned();
    if error.code != 0 {
        message.push_str(&format!(" ({:#010x})", error.code));
    }
    let text: String = error.message.chars().filter(|c| !c.is_control()).take(400).collect();
    if !text.trim().is_empty() {
        message.push_str(": ");
        message.push_str(text.trim());
    }
    let code = aadsts(&error.message);
    Error::from_parts(kind, ErrorContext { message, code, ..ErrorContext::default() })
}

/// The server's code in a text.
fn aadsts(text: &str) -> Option<String> {
    const PREFIX: &str = "AADSTS";
    let number = &text[text.find(PREFIX)? + PREFIX.len()..];
    let length = number.bytes().take_while(u8::is_ascii_digit).count();
    (length > 0).then(|| format!("{PREFIX}{}", &number[..length]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REDIRECT: &str = "ms-appx-web://microsoft.aad.brokerplugin/app-1";

    fn outcome(status: i32, code: u32, message: &str) -> Error {
        let error = (code != 0 || !message.is_empty())
            .then(|| ProviderError { code, message: message.into() });
        let answer = Answer { status, error, response: None };
        check(&answer, &ClientId::parse("app-1").unwrap()).unwrap_err()
    }

    #[test]
    fn the_error_table() {
        let transient = ErrorKind::Transient { retry_after: None };
        let interaction = ErrorKind::InteractionRequired { claims: None, suberror: None };
        let (server, network) =
            (ErrorKind::Denied(Denial::Server), ErrorKind::Unavailable(Missing::Network));
        let configuration = ErrorKind::Denied(Denial::Configuration);
        for (status, code, message, kind, redirect) in [
            (1, 0, "", ErrorKind::Cancelled, false),
            (3, 0xcaa2_000c, "AADSTS50076: mfa", interaction.clone(), false),
            (3, 0, "", interaction, false),
            (4, 0, "", ErrorKind::Unavailable(Missing::Broker), false),
            (5, 0xcaa2_0005, "busy", transient.clone(), false),
            (5, 0xcaa2_0008, "busy", transient.clone(), false),
            (5, 0x8008_0300, "", transient.clone(), false),
            (5, 0xcaa3_0001, "", network.clone(), false),
            (5, 0xcaa7_0004, "", network.clone(), false),
            (5, 0xcaa8_2ee7, "", network, false),
            (5, 0xcaad_0001, "", transient, false),
            (5, 0xcaa1_0001, "", configuration.clone(), true),
            (5, 0xcaa1_0001, "AADSTS700016: no such app", configuration.clone(), false),
            (5, 0x8007_0057, "", configuration.clone(), false),
            (5, 0xcaa2_0003, "AADSTS50011: redirect", configuration.clone(), true),
            (5, 0xcaa2_0003, "x AADSTS7000218: secret", configuration, true),
            (5, 0xcaa2_0003, "AADSTS65001: consent", server.clone(), false),
            (5, 0, "", server, false),
        ] {
            let error = outcome(status, code, message);
            assert_eq!(*error.kind(), kind, "{status} {code:#x} {message}");
            let named = error.hint().is_some_and(|hint| hint.contains(REDIRECT));
            assert_eq!(named, redirect, "{error}");
        }
        for (status, code) in [(0, 0), (2, 0), (6, 0), (-1, 7)] {
            assert_eq!(outcome(status, code, "").kind().name(), "protocol");
        }
    }

    #[test]
    fn the_text_carries_windows_code_the_servers_code_and_no_control_characters() {
        let error = outcome(5, 0xcaa2_0003, "AADSTS65001: consent\u{1b}[31m\r\nTrace ID: 1");
        assert_eq!(error.context().code.as_deref(), Some("AADSTS65001"));
        let message = error.message();
        assert!(message.contains("0xcaa20003") && message.contains("consent"), "{message}");
        assert!(!message.contains(char::is_control), "{message:?}");
        for (text, code) in [("AADSTS", None), ("AADSTSx", None), ("AADSTS5é", Some("AADSTS5"))] {
            assert_eq!(aadsts(text).as_deref(), code);
        }
    }

    #[test]
    fn a_system_without_web_account_manager_is_unavailable() {
        for (code, kind) in [
            (0x8004_0154, ErrorKind::Unavailable(Missing::Broker)),
            (0x8007_0578, ErrorKind::InvalidRequest { field: "parent_window".into() }),
            (0x8007_04c7, ErrorKind::Cancelled),
            (0x8000_4005, ErrorKind::Internal),
        ] {
            let error = of_system(SystemError { code, message: "m".into() }, "find accounts");
            assert_eq!((error.kind(), error.causes().count()), (&kind, 1));
        }
    }
}
