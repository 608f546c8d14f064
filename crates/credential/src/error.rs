//! The one mapping to the SDK's errors.

use std::error::Error as StdError;

use azure_core::error::ErrorKind;
use keybearer_core::Error;

/// Finds the credential's error inside the error of an Azure client, with the kind, the server's code
/// and the hint. `None` if something else failed.
///
/// [`downcast_ref`](azure_core::Error::downcast_ref) is enough for an error that
/// [`get_token`](azure_core::credentials::TokenCredential::get_token) returned; clients wrap it again.
///
/// ```
/// # fn chain_continues(error: &azure_core::Error) -> bool {
/// use keybearer::{ErrorKind, credential_error};
/// // In a chain of credentials: is there no broker, or did it refuse?
/// matches!(credential_error(error).map(|error| error.kind()), Some(ErrorKind::Unavailable(_)))
/// # }
/// ```
#[must_use]
pub fn credential_error(error: &azure_core::Error) -> Option<&Error> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        let inside = error.downcast_ref().and_then(azure_core::Error::downcast_ref);
        if let Some(ours) = error.downcast_ref::<Error>().or(inside) {
            return Some(ours);
        }
        next = error.source();
    }
    None
}

/// Wraps the error as a credential failure of the SDK. Its text has the causes too: programs
/// print an SDK error without following its sources.
pub(crate) fn to_azure(error: Error) -> azure_core::Error {
    let text = error.full_message();
    let message = error.hint().map_or_else(|| text.clone(), |hint| format!("{text}; {hint}"));
    azure_core::Error::with_error(ErrorKind::Credential, error, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_error_can_be_had_back_from_the_sdks() {
        let error = to_azure(Error::timed_out("wait"));
        assert!(matches!(error.kind(), ErrorKind::Credential));
        let wrapped = azure_core::Error::with_error(
            ErrorKind::Credential,
            to_azure(Error::timed_out("wait")),
            "the client's words",
        );
        for error in [&error, &wrapped] {
            let ours = credential_error(error).unwrap();
            assert_eq!(*ours.kind(), keybearer_core::ErrorKind::TimedOut);
        }
        assert!(error.to_string().contains("timeout option"));
        let refused = || Error::internal("refused").with_hint("ask the administrator");
        let twice = to_azure(refused().with_source(refused())).to_string();
        assert_eq!(twice, "refused; ask the administrator");
        let other = azure_core::Error::with_message(ErrorKind::Io, "x");
        assert!(credential_error(&other).is_none());
    }
}
