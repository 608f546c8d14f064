//! The real program, as its users run it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod activation;
mod broker;
mod bus;
mod cases;
mod home;
mod install;
mod no_start;
mod provider;
mod requests;
mod sign_in;
mod terminal;
mod upgrade;
mod wsl;
