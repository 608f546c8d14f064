//! The broker's brain: accounts, token cache, flows, single flight. Implements
//! [`Broker`](keybearer_core::Broker) over injected [`Effects`].

mod effects;

pub use effects::{
    AccountPick, Change, Clock, Effects, Http, KeyStore, Prompter, Random, Record, RecordKey,
    SealedRecord, SignIn, SignInOutcome, SignInPrompt, Spawner, TokenStore,
};
