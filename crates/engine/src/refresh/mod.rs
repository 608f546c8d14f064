//! Tokens without a person: cached access tokens, and new ones for refresh tokens. Uses the store,
//! the accounts, the proof keys and the provider.

pub(crate) mod cache_key;
pub(crate) mod redeemer;
pub(crate) mod request;
pub(crate) mod shared_token_cache;
pub(crate) mod silent_tokens;
pub(crate) mod token_cache;
