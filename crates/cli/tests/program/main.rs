//! The real program, as its users run it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod broker;
mod bus;
mod cases;
mod home;
mod install;
mod requests;
