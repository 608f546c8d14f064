use std::fmt;
use std::path::PathBuf;

/// The connection a request came in on: a unique bus name or the number of a socket connection.
/// Cancelling ends the requests of one such id only.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CallerId(Box<str>);

impl CallerId {
    /// Names a connection.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for CallerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The program behind a connection, as reported by the operating system.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Process {
    /// Process id at the time of connecting. It may be reused later, so it is for display only.
    pub pid: u32,
    /// User id, which decides about access (promise I2).
    pub uid: u32,
    /// Path of the executable, if it could be read.
    pub executable: Option<PathBuf>,
}

/// The program that makes a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// The connection.
    pub id: CallerId,
    /// The program, unless the request is made in this process.
    pub process: Option<Process>,
}

impl Caller {
    /// The caller of a request made in this process.
    #[must_use]
    pub fn in_process() -> Self {
        Self { id: CallerId::new("in-process"), process: None }
    }
}
