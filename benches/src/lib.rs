//! What the programs of `cargo xtask bench` share. Each measures one row of the performance targets
//! and prints what it found as JSON lines; `xtask` compares and judges. Unpublished.
//!
//! Where ours and its peer are both Rust, one program measures both in turns. Other machines'
//! noise is beyond this crate: it reports medians, and `xtask` repeats whole runs.
#![allow(clippy::print_stdout, reason = "the lines are these programs' answer")]

mod access;
mod accounts;
mod bus;
mod engine;
mod figures;
mod fixed_broker;
mod provider;
mod shifted_clock;

pub use access::{Channel, Hits, Server};
pub use accounts::connect_accounts;
pub use bus::PrivateBus;
pub use engine::{EngineAt, filled_engine, silent_request};
pub use figures::{Figure, Samples, median, report, resident_megabytes, thread_time};
pub use fixed_broker::FixedBroker;
pub use provider::QuickProvider;
pub use shifted_clock::ShiftedClock;

/// As long as a storage access token of Entra.
pub const ACCESS_TOKEN_LENGTH: usize = 1800;
