//! The caller's user interface, across the connection: while an interactive call waits, the client
//! serves an object that the broker calls back. Only that broker is served, and only the caller
//! is called.

mod offered;
mod remote;

use keybearer_core::CorrelationId;
pub(crate) use offered::{OfferedCallerUi, ready_to_present};
pub use remote::CallbackChannel;

/// The interface of the object.
const INTERFACE: &str = "com.keybearer.Presenter1";

/// The parent path of the objects. It stays as it is: client and broker may differ in version.
const ROOT: &str = "/com/keybearer/presenter";

/// Where the object of one call is: each call has its own correlation id.
fn object_path(call: &CorrelationId) -> String {
    let name: String = call.as_str().chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{ROOT}/call{name}")
}
