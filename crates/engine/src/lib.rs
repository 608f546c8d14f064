//! The logic of the broker: connected accounts, cached tokens, refreshes, sign-ins and sign-outs.
//! Implements [`Broker`](keybearer_core::Broker) over injected [`Effects`].
//!
//! The engine uses the network, the clock, randomness, the disk and the screen only through its
//! effects, so its tests are deterministic. It does not know where records are kept, how a page is
//! shown, or which programs may call.
//!
//! Its modules are rooms. The state of each is built once, in [`Engine::open`], and a room uses
//! only rooms above it:
//!
//! | room | contains | uses |
//! |---|---|---|
//! | `store` | sealed records, and the order of commits | |
//! | `accounts` | the connected accounts, and the rotation of their refresh tokens | `store` |
//! | `proof` | the keys that tokens are bound to | `store`, `accounts` |
//! | `provider` | endpoints, signing keys and limits of providers, and their token responses | |
//! | `refresh` | cached access tokens, and new ones for refresh tokens | the four above |
//! | `sign_in` | the routes by which a person signs in | the five above |
//! | `sign_out` | the removal of accounts | `store`, `accounts`, `refresh` |
//! | `engine` | the [`Broker`](keybearer_core::Broker) | all |
//!
//! Every room may use `effects`, `flights`, `deadline` and `errors`, which use none.

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
    Change, Clock, ClockReading, Effects, Http, KeyStore, Random, Record, RecordKey, SealedRecord,
    SignIn, SignInOutcome, SignInPrompt, SignInUi, Spawner, TokenStore,
};
pub use engine::{Engine, EngineSettings, FORWARDED_PORT};
pub use keybearer_core::AccountPick;
