//! A token without the person: cached access tokens, and refresh tokens and their rotation.

pub(crate) mod cache;
pub(crate) mod silent;
