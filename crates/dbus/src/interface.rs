//! Where the interface is found on a bus.

/// The well-known name. Its `broker1` is in lower case, unlike the interface's.
pub const BUS_NAME: &str = "com.microsoft.identity.broker1";

/// The object.
pub const OBJECT_PATH: &str = "/com/microsoft/identity/broker1";

/// The interface.
pub const INTERFACE: &str = "com.microsoft.identity.Broker1";

/// The protocol version every known client sends as the first argument. Whatever is received is
/// accepted.
pub const PROTOCOL_VERSION: &str = "0.0";
