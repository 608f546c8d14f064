//! Tokens with a person: the routes by which a person signs in. Uses the store, the accounts, the
//! proof keys, the provider and the silent flow.

mod attempt;
pub(crate) mod authorization_code;
mod device_code;
mod key;
mod opening;
mod route;
mod selection;
pub(crate) mod services;
pub(crate) mod sign_ins;
mod terminal;
