//! The D-Bus interface `com.microsoft.identity.Broker1`: its messages, a server for any
//! [`Broker`](keybearer_core::Broker), and a client that is one.
//!
//! This crate promises that what one side of it says, the other side understands without loss;
//! that other vendors' clients and brokers are understood as far as they can be; and that neither
//! side speaks with another user's process (promise I2). It decides nothing about accounts or
//! tokens, and reads neither the environment nor a clock: addresses come as arguments.
//!
//! The interface is served on the session bus ([`server::serve_bus`]) and, without a bus in
//! between, on a socket ([`server::serve_socket`]).

pub mod caller_ui;
pub mod client;
pub mod interface;
pub mod message;
mod peer;
pub mod server;
pub mod status;
