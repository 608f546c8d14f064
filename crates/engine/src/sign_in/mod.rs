//! A token with the person: the routes by which a person signs in.

pub(crate) mod attempt;
pub(crate) mod device_code;
pub(crate) mod interactive;
pub(crate) mod pending;
pub(crate) mod route;
pub(crate) mod terminal;
