//! A broker in another process, as a [`Broker`](keybearer_core::Broker).

mod cancel;
mod connect;
mod proxy;

pub use connect::Activation;
pub use proxy::BrokerProxy;
