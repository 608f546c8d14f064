//! Shared by the tests of Keybearer: doubles of the broker and of the engine's effects, a provider in
//! memory, the contract suite for every `Broker`, case directories, the leak check. Unpublished.
//!
//! Nothing here reads a clock, the network or the environment: time is simulated, randomness is
//! seeded, and the provider answers in memory. The exception is `emulated`, behind a feature of that
//! name.

pub mod capture;
pub mod cases;
pub mod contract;
pub mod double;
pub mod effects;
#[cfg(feature = "emulated")]
pub mod emulated;
pub mod engine_harness;
pub mod leak;
pub mod provider;
pub mod sample;
