//! The broker's brain: accounts, token cache, flows, single flight. Implements
//! [`Broker`](keybearer_core::Broker) over injected [`Effects`].
//!
//! This crate promises to touch the world only through its effects, so every test of it is
//! deterministic. It does not know where records are kept, how a person is asked, or who may call.

mod accounts;
mod deadline;
mod effects;
mod engine;
mod errors;
mod flights;
mod proof;
mod provider;
mod refresh;
mod sign_in;
mod sign_out;
mod store;

pub use accounts::family_refresh_tokens::FamilyRefreshTokens;
pub use effects::{
    Change, Clock, Effects, Http, KeyStore, Random, Record, RecordKey, SealedRecord, SignIn,
    SignInOutcome, SignInPrompt, SignInUi, Spawner, TokenStore,
};
pub use engine::{Engine, EngineSettings, FORWARDED_PORT};
pub use keybearer_core::AccountPick;
