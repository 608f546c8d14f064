use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use keybearer_core::{AuthorityHost, CallerUi};
use keybearer_engine::{Http, SignInUi};
use keybearer_native::ParentWindow;

#[cfg(doc)]
use crate::DesktopUi;

/// Whether to use a broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BrokerChoice {
    /// If there is one or one can be started; else sign in from this process with the system
    /// browser, also where the broker cannot serve a request and a browser can. On Windows, WSL
    /// included, there is no such fallback: on `Unavailable` a chain tries its next credential.
    #[default]
    Auto,
    /// Only; fail with `Unavailable` if there is none.
    Required,
    /// Not at all.
    Never,
}

/// How to find the broker.
#[derive(Clone, Debug, Default)]
pub struct LocalBrokerOptions {
    /// Whether to use one at all.
    pub choice: BrokerChoice,
    /// Authority hosts this process trusts without asking. A broker does not take our word for
    /// it, so a request it refuses for its authority is then made from this process.
    pub trusted_authority_hosts: BTreeSet<AuthorityHost>,
    /// Where else the broker's program may be installed, on Linux. It takes precedence over
    /// `PATH`.
    pub program_directory: Option<PathBuf>,
    /// The window a broker's window belongs to.
    pub parent_window: ParentWindow,
    /// The HTTP client of an engine in this process, instead of the usual one.
    pub http: Option<Arc<dyn Http>>,
    /// What takes the person through an engine's sign-ins in this process, instead of the system
    /// browser.
    pub sign_in_ui: Option<Arc<dyn SignInUi>>,
    /// What an engine in this process does with what it signs in.
    pub remember: Persistence,
    /// The caller's side of sign-ins, for requests that bring none. Default: the browser of this
    /// process's environment ([`DesktopUi`]).
    pub caller_ui: Option<Arc<dyn CallerUi>>,
}

/// What an engine in this process does with what it signs in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Persistence {
    /// It is gone when the process ends.
    #[default]
    InMemory,
    /// It is kept in the user's state directory, for one process at a time. For programs on systems
    /// where no Keybearer broker runs; accounts there are found besides those of the system's broker.
    #[cfg(not(target_os = "linux"))]
    OnDisk,
}
