//! What errors of macOS and of the extension mean to the caller.

use std::borrow::Cow;

use keybearer_core::{Denial, Error, ErrorContext, ErrorKind, Missing};

use super::request::UNSIGNED_APP;

/// An `NSError`, as far as it matters.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Failure {
    pub(super) domain: String,
    pub(super) code: i64,
    pub(super) description: String,
    pub(super) oauth_error: Option<String>,
    pub(super) suberror: Option<String>,
}

/// The domain of what macOS says about an authorization.
pub(super) const AUTHORIZATION: &str = "com.apple.AuthenticationServices.AuthorizationError";

/// In that domain: the extension's own error lies below this one.
#[cfg(all(target_os = "macos", feature = "macos-sso-extension"))]
pub(super) const SEE_UNDERLYING: i64 = -6000;

const CONNECTION: &str = "NSURLErrorDomain";

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let code = aadsts_code(&failure.description).map(str::to_owned);
        let kind = match failure.domain.as_str() {
            AUTHORIZATION => of_authorization(failure.code),
            CONNECTION => of_connection(failure.code),
            _ => of_extension(&failure),
        };
        let redirect_uri = matches!(code.as_deref(), Some("AADSTS50011" | "AADSTS7000218"))
            || failure.code == REDIRECT_SCHEME;
        let (kind, hint) = match kind {
            _ if redirect_uri => (
                ErrorKind::Denied(Denial::Configuration),
                Some(format!(
                    "add the redirect URI {UNSIGNED_APP} to the app's registration (platform \
                     Mobile and desktop applications)"
                )),
            ),
            kind => (kind, None),
        };
        let message = match failure.description.as_str() {
            "" => format!("macOS answered with {} {}", failure.domain, failure.code),
            description => format!("{description} ({})", failure.code),
        };
        let oauth_error = failure.oauth_error;
        let context = ErrorContext { message, code, oauth_error, hint, ..ErrorContext::default() };
        Self::from_parts(kind, context)
    }
}

/// `ASAuthorizationError`. What macOS or the extension does not handle, a browser can.
const fn of_authorization(code: i64) -> ErrorKind {
    match code {
        1001 => ErrorKind::Cancelled,
        1005 => ErrorKind::InteractionRequired { claims: None, suberror: None },
        _ => ErrorKind::Unavailable(Missing::Broker),
    }
}

/// `NSURLError`: no network, or a bad one.
const fn of_connection(code: i64) -> ErrorKind {
    match code {
        -1003 | -1006 | -1009 | -1020 => ErrorKind::Unavailable(Missing::Network),
        _ => ErrorKind::Transient { retry_after: None },
    }
}

/// A redirect URI whose scheme is not the app's.
const REDIRECT_SCHEME: i64 = -51118;

/// The codes of the extension, which are unique across its domains.
fn of_extension(failure: &Failure) -> ErrorKind {
    let invalid = |field: &'static str| ErrorKind::InvalidRequest { field: Cow::Borrowed(field) };
    match failure.code {
        // Also: no account was named, another account's token came, the refresh token was refused.
        -51115 | -51113 | -51117 | -51412 | -514_102 => {
            ErrorKind::InteractionRequired { claims: None, suberror: failure.suberror.clone() }
        }
        -51700 | -51701 => ErrorKind::Cancelled,
        -51416 | -51415 => ErrorKind::Denied(Denial::Person),
        -51411 | -51414 | REDIRECT_SCHEME => ErrorKind::Denied(Denial::Configuration),
        -51430 | -51440 | -51400 => ErrorKind::Denied(Denial::Server),
        -51413 => invalid("scopes"),
        -51600 => invalid("authority"),
        -51111 | -51112 | -51410 => invalid("request"),
        -51500 => ErrorKind::Transient { retry_after: None },
        -51810 => ErrorKind::Unavailable(Missing::DeviceRegistration),
        -51702 | -51710 | -51720 | -51730 | -51731 => {
            ErrorKind::Unavailable(Missing::UserInterface)
        }
        -51114 | -51899..=-51800 => ErrorKind::Unavailable(Missing::Broker),
        -51401 => ErrorKind::Protocol {
            expected: Cow::Borrowed("an answer of the provider"),
            received: Cow::Borrowed("another one"),
        },
        _ => ErrorKind::Internal,
    }
}

fn aadsts_code(text: &str) -> Option<&str> {
    const AADSTS: &str = "AADSTS";
    let code = &text[text.find(AADSTS)?..];
    let digits = code[AADSTS.len()..].bytes().take_while(u8::is_ascii_digit).count();
    (digits > 0).then(|| &code[..AADSTS.len() + digits])
}
