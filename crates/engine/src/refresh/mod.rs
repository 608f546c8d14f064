//! A token without the person: cached access tokens, and refresh tokens and their redemption. Uses
//! the accounts, the proof keys and the provider.

pub(crate) mod cache_key;
pub(crate) mod redeemer;
pub(crate) mod request;
pub(crate) mod shared_token_cache;
pub(crate) mod silent_tokens;
pub(crate) mod token_cache;
