//! Decides which routes of a sign-in are tried, and in which order. Pure.

use keybearer_core::{Abilities, SignInMethod, Terminal};

/// A route by which a person signs in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SignInRoute {
    /// With a browser or a window on a desktop: the caller's if it has one, else the broker's.
    Desktop,
    /// With a browser anywhere. The answer arrives at this machine's loopback address, which may be
    /// forwarded to the machine of the browser, or is pasted into the caller's terminal.
    Terminal,
    /// With a browser anywhere. The answer is pasted into the caller's terminal.
    Paste,
    /// With a code that the caller's terminal shows, RFC 8628.
    DeviceCode,
}

impl SignInRoute {
    /// The routes for a caller, the best first. If a route has no user interface, the next one is
    /// tried.
    ///
    /// If a caller comes over SSH and has no browser, its person is at another machine, and would
    /// not see a sign-in on the desktop of this one. A device code is used only if the caller asks
    /// for it: it can be phished, and policies often block it.
    pub(crate) fn order(method: SignInMethod, caller: &Abilities) -> &'static [Self] {
        match (method, caller.browser, &caller.terminal) {
            (SignInMethod::Browser, ..) => &[Self::Desktop],
            (SignInMethod::DeviceCode, ..) => &[Self::DeviceCode],
            (SignInMethod::Paste, ..) => &[Self::Paste],
            (SignInMethod::Auto, _, None) => &[Self::Desktop],
            (SignInMethod::Auto, false, Some(Terminal { ssh: Some(_) })) => &[Self::Terminal],
            (SignInMethod::Auto, _, Some(_)) => &[Self::Desktop, Self::Terminal],
        }
    }

    /// Whether a sign-in is shown in one caller's terminal only, so that other callers cannot share
    /// it.
    pub(crate) fn is_private(method: SignInMethod, caller: &Abilities) -> bool {
        let terminal_only = caller.terminal.is_some() && !caller.browser;
        match method {
            SignInMethod::DeviceCode | SignInMethod::Paste => true,
            SignInMethod::Auto => terminal_only,
            SignInMethod::Browser => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use SignInMethod::{Auto, Browser, DeviceCode, Paste};
    use keybearer_core::SshSession;

    use super::*;

    #[derive(Clone, Copy, PartialEq)]
    enum At {
        Nowhere,
        Console,
        Ssh,
    }

    #[test]
    fn the_way_follows_from_where_the_person_is() {
        use At::{Console, Nowhere, Ssh};
        for (method, browser, at, ways, private) in [
            (Auto, false, Nowhere, &[SignInRoute::Desktop][..], false),
            (Auto, true, Nowhere, &[SignInRoute::Desktop], false),
            (Auto, true, Console, &[SignInRoute::Desktop, SignInRoute::Terminal], false),
            (Auto, true, Ssh, &[SignInRoute::Desktop, SignInRoute::Terminal], false),
            (Auto, false, Console, &[SignInRoute::Desktop, SignInRoute::Terminal], true),
            (Auto, false, Ssh, &[SignInRoute::Terminal], true),
            (Browser, false, Ssh, &[SignInRoute::Desktop], false),
            (Browser, true, Nowhere, &[SignInRoute::Desktop], false),
            (DeviceCode, true, Console, &[SignInRoute::DeviceCode], true),
            (DeviceCode, false, Nowhere, &[SignInRoute::DeviceCode], true),
            (Paste, true, Ssh, &[SignInRoute::Paste], true),
        ] {
            let ssh = (at == Ssh).then(SshSession::default);
            let terminal = (at != Nowhere).then_some(Terminal { ssh });
            let caller = Abilities { browser, terminal };
            assert_eq!(SignInRoute::order(method, &caller), ways, "{method:?} {caller:?}");
            assert_eq!(SignInRoute::is_private(method, &caller), private, "{method:?} {caller:?}");
        }
    }
}
