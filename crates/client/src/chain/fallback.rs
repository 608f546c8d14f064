//! When a request that a broker does not serve is made from this process instead, with the system
//! browser. Pure: what is known comes in, a decision goes out.

use keybearer_core::{Denial, Error, ErrorKind, Missing};
use keybearer_host::Environment;

#[cfg(target_os = "linux")]
use keybearer_native::wsl::WslProxyLocator;

/// Whose desktop the person is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Platform {
    /// One on which apps open the browser themselves: Linux, macOS.
    Open,
    /// Windows, also seen from inside WSL. Its broker is a part of it; without one, an app has
    /// other credentials to try.
    Windows,
}

impl Platform {
    /// A container in WSL has the kernel, not the variables; its browser, if any, is what it was
    /// given. Whoever switched the way to Windows off wants a plain Linux.
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

/// Who did not serve the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Broker {
    /// There is none.
    Absent,
    /// Keybearer's: it signs in with the same browser and the same redirect URI as this process.
    Keybearer,
    /// Somebody else's.
    Foreign,
}

/// What was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RequestKind {
    /// A token, of an authority that this process does not know better than the broker does.
    Token,
    /// A token of an authority that this process trusts.
    TrustedToken,
    /// What a broker knows: its accounts, their keys and sessions.
    Knowledge,
}

/// Whether this process can do better than the broker did.
///
/// It can if what the broker lacks is of no concern to a browser, or if the broker failed rather
/// than refused. A refusal stands: a policy, a person who declined, a provider that is busy or out of
/// reach.
pub(super) fn browser_can_help(
    place: Platform,
    broker: Broker,
    asked: RequestKind,
    error: &Error,
) -> bool {
    if place == Platform::Windows {
        return false;
    }
    if let ErrorKind::Unavailable(Missing::Broker) = error.kind() {
        return true;
    }
    if broker == Broker::Absent || asked == RequestKind::Knowledge {
        return false;
    }
    match error.kind() {
        // No registered device, a locked store, no display: those are the broker's.
        ErrorKind::Unavailable(missing) => *missing != Missing::Network,
        // It broke, or does not speak the protocol.
        ErrorKind::Internal | ErrorKind::Protocol { .. } => true,
        // It does not take our word for an authority.
        ErrorKind::InvalidRequest { field } => {
            field == "authority" && asked == RequestKind::TrustedToken
        }
        // Its redirect URI is not registered for the app; `http://localhost` may be.
        ErrorKind::Denied(Denial::Configuration) => {
            broker == Broker::Foreign && error.message().contains("AADSTS50011")
        }
        ErrorKind::Denied(Denial::Person | Denial::Server)
        | ErrorKind::InteractionRequired { .. }
        | ErrorKind::Cancelled
        | ErrorKind::TimedOut
        | ErrorKind::Transient { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use Broker::{Absent, Foreign, Keybearer};
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
            (Foreign, Token, Error::interaction_required("nobody"), false),
        ];
        for (broker, asked, error, expected) in cases {
            let helps = |place| browser_can_help(place, broker, asked, &error);
            assert_eq!(helps(Platform::Open), expected, "{broker:?} {asked:?} {error:?}");
            assert!(!helps(Platform::Windows), "{broker:?} {asked:?} {error:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn wsl_is_a_part_of_windows() {
        let place =
            |pairs: &[(&str, &str)]| Platform::of(&Environment::from_pairs(pairs.iter().copied()));
        assert_eq!(place(&[("WSL_DISTRO_NAME", "Debian")]), Platform::Windows);
        let elsewhere = if cfg!(windows) { Platform::Windows } else { Platform::Open };
        assert_eq!(place(&[]), elsewhere);
        let off = [("WSL_DISTRO_NAME", "Debian"), (WslProxyLocator::VARIABLE, "off")];
        assert_eq!(place(&off), elsewhere);
    }
}
