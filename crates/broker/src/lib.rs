//! The per-user broker process: one engine, served on a socket and, unless another program has the
//! well-known name, on the session bus.
//!
//! This crate promises that one broker runs per user and runtime directory even if several are
//! started at the same time, that it serves its own user only (invariant I2), that no secret is in
//! logs or core dumps (I5), that only the ready line is written to standard output (I10), and that a
//! broker that stops answers the calls under way, while new clients find no socket. Decisions about
//! accounts and tokens are made by the engine.

mod activity;
mod clients;
mod control;
mod doors;
mod hardening;
mod idle;
mod install;
mod listening_socket;
mod lock;
mod logging;
mod run;
mod service;
mod signals;
mod status;
mod stop;
mod tracked;

pub use control::{BrokerControl, SignIns};
pub use install::{Conflict, Found, Installation, Precedence, Removal, Units, Written, reload_bus};
pub use run::{BrokerOptions, DEFAULT_IDLE_EXIT, Exit, Incumbent, run, serve};
pub use status::{BusStatus, DoorStatus, NameHolder, Status};
pub use stop::StopReason;
