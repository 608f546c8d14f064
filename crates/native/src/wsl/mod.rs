//! The Windows broker, reached from inside of the Windows Subsystem for Linux.
//!
//! WSL brings a program, `msal.wsl.proxy.exe`, that passes requests on to Windows' Web Account
//! Manager. Each call is one process of it: the request is an argument, the reply is what it
//! writes. [`ProxyBroker`] makes such calls; [`WslProxyLocator`] finds the program.
//!
//! What others can see: arguments of a process are visible to every user of the same machine, on
//! the Linux side through `/proc` and on the Windows side through the task manager. The program's
//! interface leaves no other way in. So the arguments hold what is asked for (app, directory,
//! scopes, claims, the account's names) and nothing secret: a token that a resource refused is
//! never named to it (promise I5); if it comes back all the same, it is withheld. Replies come
//! through a pipe. What the program writes to its error output never reaches ours (promise I10).

mod discovery;
mod fault;
mod process;
mod proxy;

pub use discovery::{FoundBy, FoundProxy, WslProxyLocator};
pub use proxy::ProxyBroker;
