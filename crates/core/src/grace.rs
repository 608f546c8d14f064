//! How much longer than a request's [`Deadline`](crate::Deadline) each layer waits for the answer of
//! the layer below.
//!
//! Every layer applies the same deadline. The innermost one knows best why there is no answer, for
//! example that the sign-in in the browser was not finished, so its error should reach the caller.
//! Each layer therefore waits a moment longer than the layer it asks. If two graces were equal, or
//! in the wrong order, the outer layer would answer first, with a worse error.
//!
//! A broker itself (the engine, Web Account Manager, the proxy of WSL, the macOS extension) has no
//! grace: it ends at the deadline.

use std::time::Duration;

/// The D-Bus client, for the reply of the broker's process.
pub const DBUS_CLIENT: Duration = Duration::from_millis(100);

/// The chain of this machine's brokers, for the broker it chose.
pub const CHAIN: Duration = Duration::from_millis(125);

/// The credential, for the chain.
pub const CREDENTIAL: Duration = Duration::from_millis(150);

/// The Python module, for the credential or the chain on the background runtime.
pub const PYTHON: Duration = Duration::from_millis(500);

const _: () = {
    let inside_out = [DBUS_CLIENT, CHAIN, CREDENTIAL, PYTHON];
    let mut layer = 1;
    while layer < inside_out.len() {
        assert!(
            inside_out[layer - 1].as_millis() < inside_out[layer].as_millis(),
            "each layer must wait longer than the layer below"
        );
        layer += 1;
    }
};
