//! Which brokers this machine's broker asks, and what it does about a request that they do not
//! serve. This file decides; the other files of this folder carry the decisions out.
//!
//! # The order of brokers
//!
//! | where | asked, in this order | code |
//! |---|---|---|
//! | WSL | the proxy to the Windows broker; once it shows that it cannot work, the brokers of Linux for the rest of the process | `linux.rs`, `wsl.rs` |
//! | Linux | Keybearer's socket; the owner of the well-known name on the session bus, activated if it can be; a Keybearer broker started now | `linux_brokers.rs` |
//! | Windows | Web Account Manager | `windows.rs` |
//! | macOS | the single sign-on extension, if built in | `macos.rs` |
//! | elsewhere | none | `none.rs` |
//!
//! A broker that went away before it answered is looked for again, once, and asked again if the
//! request allows it ([`Repeat`](keybearer_core::Repeat)).
//!
//! # The engine in this process
//!
//! An engine in this process signs in with the system browser. It serves every request if the
//! options say [`BrokerChoice::Never`], none if they say [`BrokerChoice::Required`], and with
//! [`BrokerChoice::Auto`] those that the broker did not serve and for which [`Refused::next`] says
//! so. It is also asked second about what it has signed in itself, of which a broker does not know:
//! a silent request that the broker answered with `InteractionRequired`, the list of accounts, and
//! the removal of an account.

use keybearer_core::{Denial, Error, ErrorKind, Missing};
use keybearer_host::Environment;
#[cfg(target_os = "linux")]
use keybearer_native::wsl::WslProxyLocator;

use super::{BrokerChoice, Persistence};

/// A request that a broker did not serve, and who may do what about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused {
    pub(super) choice: BrokerChoice,
    pub(super) platform: Platform,
    /// What the engine in this process does with what it signs in.
    pub(super) persistence: Persistence,
    pub(super) broker: BrokerKind,
    pub(super) request: RequestKind,
}

/// What happens next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// The engine in this process gets the request.
    AskEngine,
    /// The caller gets the error.
    Fail,
}

/// The system whose desktop the person is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Platform {
    /// One on which apps open the browser themselves: Linux, macOS.
    Open,
    /// Windows, also seen from inside WSL. Its broker is a part of it; without one, an app has
    /// other credentials to try.
    Windows,
}

/// The kind of broker that did not serve the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BrokerKind {
    /// No broker was found.
    Absent,
    /// Keybearer's: it signs in with the same browser and the same redirect URI as this process.
    Keybearer,
    /// Another vendor's.
    Foreign,
}

/// The kind of request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RequestKind {
    /// A token, of an authority that this process does not know better than the broker does.
    Token,
    /// A token of an authority that this process trusts.
    TrustedToken,
    /// What only a broker knows: its accounts, their keys and sessions.
    Knowledge,
}

impl Refused {
    /// What follows from the broker's error.
    pub(super) fn next(self, error: &Error) -> Next {
        let serves = match (self.choice, self.platform) {
            (BrokerChoice::Required | BrokerChoice::Never, _) => false,
            (BrokerChoice::Auto, Platform::Open) => self.browser_can_help(error),
            (BrokerChoice::Auto, Platform::Windows) => self.own_store_can_help(error),
        };
        if serves { Next::AskEngine } else { Next::Fail }
    }

    /// Whether this process can do better than the broker did. It can if a browser does not need
    /// what the broker lacks, or if the broker failed rather than refused. A refusal stands: a
    /// policy, a person who declined, a provider that is busy or out of reach.
    fn browser_can_help(self, error: &Error) -> bool {
        let knowledge = self.request == RequestKind::Knowledge;
        match error.kind() {
            // There is no broker, so there is nothing that only a broker knows either.
            ErrorKind::Unavailable(Missing::Broker) => true,
            _ if self.broker == BrokerKind::Absent || knowledge => false,
            ErrorKind::Unavailable(Missing::Network) => false,
            // No registered device, a locked store, no display: the broker lacks those, not we.
            ErrorKind::Unavailable(_) => true,
            // It broke, or does not speak the protocol.
            ErrorKind::Internal | ErrorKind::Protocol { .. } => true,
            // It does not take our word for an authority.
            ErrorKind::InvalidRequest { field } => {
                field == "authority" && self.request == RequestKind::TrustedToken
            }
            // Its redirect URI is not registered for the app; `http://localhost` may be.
            ErrorKind::Denied(Denial::Configuration) => {
                self.broker == BrokerKind::Foreign && error.message().contains("AADSTS50011")
            }
            ErrorKind::Denied(Denial::Person | Denial::Server)
            | ErrorKind::InteractionRequired { .. }
            | ErrorKind::Cancelled
            | ErrorKind::TimedOut
            | ErrorKind::Transient { .. } => false,
        }
    }

    /// On Windows only a program that keeps what it signs in, such as the command line, signs in by
    /// itself: if the system has no broker, or if the broker does not know the authority.
    fn own_store_can_help(self, error: &Error) -> bool {
        self.persistence != Persistence::InMemory
            && match error.kind() {
                ErrorKind::Unavailable(Missing::Broker) => true,
                ErrorKind::InvalidRequest { field } => field == "authority",
                _ => false,
            }
    }
}

impl Platform {
    /// A container in WSL has the kernel, not the variables; its browser, if any, is what it was
    /// given. A user who switched the proxy to Windows off wants a plain Linux.
    pub(super) fn of(environment: &Environment) -> Self {
        if cfg!(windows) || is_used_wsl(environment) { Self::Windows } else { Self::Open }
    }
}

#[cfg(target_os = "linux")]
fn is_used_wsl(environment: &Environment) -> bool {
    let wsl = environment.has("WSL_INTEROP") || environment.has("WSL_DISTRO_NAME");
    wsl && WslProxyLocator::default().wanted(environment)
}

#[cfg(not(target_os = "linux"))]
fn is_used_wsl(_: &Environment) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use BrokerKind::{Absent, Foreign, Keybearer};
    use RequestKind::{Knowledge, Token, TrustedToken};

    use super::*;

    fn denied(denial: Denial, message: &str) -> Error {
        Error::new(ErrorKind::Denied(denial), message)
    }

    #[test]
    fn a_browser_helps_where_the_broker_lacks_something_or_failed_and_not_against_a_refusal() {
        let unavailable = |missing| Error::unavailable(missing, "");
        let redirect = || denied(Denial::Configuration, "AADSTS50011: the redirect URI");
        let cases = [
            (Absent, Token, unavailable(Missing::Broker), true),
            (Absent, Knowledge, unavailable(Missing::Broker), true),
            (Absent, Token, Error::timed_out("find a broker"), false),
            (Absent, Token, Error::internal("start a broker"), false),
            (Foreign, Token, unavailable(Missing::Broker), true),
            (Foreign, Token, unavailable(Missing::DeviceRegistration), true),
            (Foreign, Knowledge, unavailable(Missing::DeviceRegistration), false),
            (Keybearer, Token, unavailable(Missing::Key), true),
            (Keybearer, Token, unavailable(Missing::UserInterface), true),
            (Keybearer, Token, unavailable(Missing::Network), false),
            (Foreign, Token, Error::internal("status 0"), true),
            (Keybearer, Knowledge, Error::internal("the store is damaged"), false),
            (Foreign, Token, Error::protocol("JSON", "nothing"), true),
            (Keybearer, Token, Error::invalid_request("authority", "untrusted"), false),
            (Keybearer, TrustedToken, Error::invalid_request("authority", "untrusted"), true),
            (Keybearer, TrustedToken, Error::invalid_request("scopes", "two resources"), false),
            (Foreign, Token, redirect(), true),
            (Keybearer, Token, redirect(), false),
            (Foreign, Token, denied(Denial::Configuration, "AADSTS7000218"), false),
            (Foreign, Token, denied(Denial::Server, "AADSTS53003"), false),
            (Foreign, Token, denied(Denial::Person, "declined"), false),
            (Foreign, Token, Error::cancelled("the window was closed"), false),
            (Foreign, Token, Error::timed_out("the sign-in"), false),
            (Foreign, Token, Error::transient(None, "busy"), false),
            (Foreign, Token, Error::interaction_required("sign in first"), false),
        ];
        for (broker, request, error, expected) in cases {
            let next = |choice, platform| {
                let persistence = Persistence::InMemory;
                Refused { choice, platform, persistence, broker, request }.next(&error)
            };
            let what = format!("{broker:?} {request:?} {error:?}");
            let helps = next(BrokerChoice::Auto, Platform::Open) == Next::AskEngine;
            assert_eq!(helps, expected, "{what}");
            assert_eq!(next(BrokerChoice::Auto, Platform::Windows), Next::Fail, "{what}");
            assert_eq!(next(BrokerChoice::Required, Platform::Open), Next::Fail, "{what}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn wsl_is_a_part_of_windows() {
        let platform =
            |pairs: &[(&str, &str)]| Platform::of(&Environment::from_pairs(pairs.iter().copied()));
        assert_eq!(platform(&[("WSL_DISTRO_NAME", "Debian")]), Platform::Windows);
        let elsewhere = if cfg!(windows) { Platform::Windows } else { Platform::Open };
        assert_eq!(platform(&[]), elsewhere);
        let off = [("WSL_DISTRO_NAME", "Debian"), (WslProxyLocator::VARIABLE, "off")];
        assert_eq!(platform(&off), elsewhere);
    }
}
