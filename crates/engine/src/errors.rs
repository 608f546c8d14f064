//! Errors that several rooms return.

use keybearer_core::Error;

/// A token needs a sign-in; the message says why.
pub(crate) fn sign_in_needed(message: String) -> Error {
    Error::interaction_required(message).with_hint("sign in with `keybearer login`")
}

/// The account was removed while the request was under way.
pub(crate) fn account_removed() -> Error {
    Error::interaction_required("the account was removed in the meantime")
}
