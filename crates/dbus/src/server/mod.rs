//! The interface, served for any [`Broker`](keybearer_core::Broker).
//!
//! Every call runs in a separate task: an interactive call that waits for a person delays
//! neither silent calls nor its own cancellation. A failed call is a reply that carries an error,
//! never a D-Bus error, because clients turn the latter into something meaningless.

mod adaptor;
mod bus;
mod session;
mod socket;

pub use bus::{BusOutcome, BusService, NameOwner, serve_bus};
pub use session::{MAX_PENDING, Session};
pub use socket::{SocketService, serve_socket};
