//! Errors that several rooms return.

use keybearer_core::Error;

pub(crate) fn sign_in_needed(message: String) -> Error {
    Error::interaction_required(message).with_hint("sign in with `keybearer login`")
}

pub(crate) fn account_removed() -> Error {
    Error::interaction_required("the account was account_removed in the meantime")
}
