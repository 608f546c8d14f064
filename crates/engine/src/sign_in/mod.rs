//! Tokens with a person: the routes by which a person signs in. Uses the store, the accounts, the proof
//! keys, the provider and the silent flow.

mod attempt;
mod authorization_code;
mod device_code;
mod key;
mod opening;
pub(crate) mod pending;
mod route;
mod selection;
mod services;
pub(crate) mod sign_ins;
mod terminal;
