//! The one mapping to the SDK's errors.

use azure_core::error::ErrorKind;
use keybearer_core::Error;

/// Every failure is a credential failure to the SDK; ours is inside, see
/// [`azure_core::Error::downcast_ref`].
pub(crate) fn to_azure(error: Error) -> azure_core::Error {
    let message = error.to_string();
    azure_core::Error::with_error(ErrorKind::Credential, error, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_error_can_be_had_back_from_the_sdks() {
        let error = to_azure(Error::timed_out("wait"));
        assert!(matches!(error.kind(), ErrorKind::Credential));
        let ours = error.downcast_ref::<Error>().unwrap();
        assert_eq!(*ours.kind(), keybearer_core::ErrorKind::TimedOut);
        assert!(error.to_string().contains("timeout option"));
    }
}
