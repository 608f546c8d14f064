//! Shared code of the programs of `cargo xtask bench`. Each measures one row of the performance targets
//! and prints numbers as JSON lines; `xtask` compares them with the targets. Unpublished.
//!
//! If Keybearer and its peer are both Rust, one program measures both in turns. It reports medians, and
//! `xtask` repeats whole runs, because other load on the machine cannot be removed here.
#![expect(clippy::print_stdout, reason = "the lines are these programs' answer")]

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

/// The length of a storage access token of Entra.
pub const ACCESS_TOKEN_LENGTH: usize = 1800;
