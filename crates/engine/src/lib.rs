//! The broker's brain: accounts, token cache, flows, single flight. Implements
//! [`Broker`](keybearer_core::Broker) over injected [`Effects`].
//!
//! This crate promises to touch the world only through its effects, so every test of it is
//! deterministic. It does not know where records are kept, how a person is asked, or who may call.

mod attempt;
mod cache;
mod choice;
mod deadline;
mod device_code;
mod effects;
mod engine;
mod families;
mod flights;
mod interactive;
mod issue;
mod proof;
mod providers;
mod records;
mod refresh_entry;
mod registry;
mod sign_in_route;
mod silent;
mod terminal;
mod throttle;
mod vault;
mod waiting;

pub use effects::{
    Change, Clock, Effects, Http, KeyStore, Random, Record, RecordKey, SealedRecord, SignIn,
    SignInOutcome, SignInPrompt, SignInUi, Spawner, TokenStore,
};
pub use engine::{Engine, EngineSettings, FORWARDED_PORT};
pub use families::FamilyRefreshTokens;
pub use keybearer_core::AccountPick;
