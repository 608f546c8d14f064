//! The per-user broker process: one engine, served on a socket and, if nobody else has the name,
//! on the session bus.
//!
//! This crate promises that there is one broker per user and runtime directory however many are
//! started at the same time, that it serves its own user only (invariant I2), that it leaves no
//! secret in logs or core dumps (I5) and writes nothing but one ready line to standard output
//! (I10), and that it ends politely: calls under way are answered, new ones find no socket. It
//! decides nothing about accounts or tokens: the engine does.

mod activity;
mod bus;
mod connections;
mod control;
mod hardening;
mod idle;
mod install;
mod lock;
mod logging;
mod run;
mod service;
mod signals;
mod socket;
mod status;
mod stop;
mod tracked;

pub use control::{BrokerControl, SignIns};
pub use install::{Conflict, Found, Installation, Precedence, Removal, Units, Written, reload_bus};
pub use run::{BrokerOptions, DEFAULT_IDLE_EXIT, Exit, Incumbent, run, serve};
pub use status::{BusStatus, KeyStatus, NameHolder, Status};
pub use stop::StopReason;
