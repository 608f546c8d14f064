//! A token with the person: the routes by which a person signs in. Uses every other room.

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
