use keybearer_core::Broker;
#[cfg(target_os = "linux")]
use keybearer_dbus::client::BrokerProxy;

/// A broker outside of this process, which may go away.
pub trait Reachable: Broker {
    /// Whether the broker has gone, so that every call would fail. A broker that the operating
    /// system starts for each call is never closed.
    fn is_closed(&self) -> bool;

    /// Whether it is Keybearer's, so that it signs in as this process would.
    fn is_keybearer(&self) -> bool {
        false
    }
}

#[cfg(target_os = "linux")]
impl Reachable for BrokerProxy {
    fn is_closed(&self) -> bool {
        Self::is_closed(self)
    }

    fn is_keybearer(&self) -> bool {
        self.is_on_socket()
    }
}
