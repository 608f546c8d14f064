//! The one table between [`ErrorKind`] and the broker interface's `status` numbers.

use keybearer_core::{Denial, ErrorKind, Missing};

/// The `status` of an error on the wire, which drives what clients do next. Numbers from 15 on
/// differ from those of the public `MSALRuntime` enum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// 0; also stands for every number that is not listed here.
    Unexpected = 0,
    /// 1; never sent.
    Reserved = 1,
    /// 2
    InteractionRequired = 2,
    /// 3
    NoNetwork = 3,
    /// 4
    NetworkTemporarilyUnavailable = 4,
    /// 5
    ServerTemporarilyUnavailable = 5,
    /// 6
    ApiContractViolation = 6,
    /// 7
    UserCanceled = 7,
    /// 8
    ApplicationCanceled = 8,
    /// 9
    IncorrectConfiguration = 9,
    /// 10
    InsufficientBuffer = 10,
    /// 11
    AuthorityUntrusted = 11,
    /// 12
    UserSwitch = 12,
    /// 13
    AccountUnusable = 13,
    /// 14
    UserDataRemovalRequired = 14,
    /// 15
    TransientError = 15,
    /// 16
    AccountSwitch = 16,
    /// 17
    DeviceNotRegistered = 17,
    /// 18
    KeyNotFound = 18,
    /// 19
    AccountNotFound = 19,
    /// 20
    RequiredBrokerMissing = 20,
    /// 21
    FallbackToNativeMsal = 21,
}

/// Every status, at the index of its number.
const ALL: [Status; 22] = [
    Status::Unexpected,
    Status::Reserved,
    Status::InteractionRequired,
    Status::NoNetwork,
    Status::NetworkTemporarilyUnavailable,
    Status::ServerTemporarilyUnavailable,
    Status::ApiContractViolation,
    Status::UserCanceled,
    Status::ApplicationCanceled,
    Status::IncorrectConfiguration,
    Status::InsufficientBuffer,
    Status::AuthorityUntrusted,
    Status::UserSwitch,
    Status::AccountUnusable,
    Status::UserDataRemovalRequired,
    Status::TransientError,
    Status::AccountSwitch,
    Status::DeviceNotRegistered,
    Status::KeyNotFound,
    Status::AccountNotFound,
    Status::RequiredBrokerMissing,
    Status::FallbackToNativeMsal,
];

impl Status {
    /// Reads a number; unknown ones are [`Unexpected`](Self::Unexpected).
    #[must_use]
    pub fn from_wire(number: i64) -> Self {
        usize::try_from(number).ok().and_then(|index| ALL.get(index)).copied().unwrap_or(ALL[0])
    }

    /// The number.
    #[must_use]
    pub const fn as_wire(self) -> i64 {
        self as i64
    }

    /// The status under which an error of this kind is sent.
    #[must_use]
    pub fn of(kind: &ErrorKind) -> Self {
        match kind {
            ErrorKind::Unavailable(Missing::Broker) => Self::RequiredBrokerMissing,
            ErrorKind::Unavailable(Missing::Network) => Self::NoNetwork,
            ErrorKind::Unavailable(Missing::DeviceRegistration) => Self::DeviceNotRegistered,
            ErrorKind::Unavailable(Missing::Key) => Self::KeyNotFound,
            // A person has to sign in elsewhere, as the hint says; where there is no display, the app
            // has no such way either.
            ErrorKind::Unavailable(Missing::UserInterface)
            | ErrorKind::InteractionRequired { .. } => Self::InteractionRequired,
            ErrorKind::Cancelled | ErrorKind::Denied(Denial::Person) => Self::UserCanceled,
            ErrorKind::TimedOut => Self::NetworkTemporarilyUnavailable,
            ErrorKind::Transient { .. } => Self::ServerTemporarilyUnavailable,
            ErrorKind::Denied(Denial::Configuration) => Self::IncorrectConfiguration,
            ErrorKind::InvalidRequest { field } if field == "account" => Self::AccountNotFound,
            ErrorKind::InvalidRequest { field } if field == "authority" => Self::AuthorityUntrusted,
            ErrorKind::InvalidRequest { .. } => Self::ApiContractViolation,
            ErrorKind::Denied(Denial::Server)
            | ErrorKind::Protocol { .. }
            | ErrorKind::Internal => Self::Unexpected,
        }
    }

    /// What an error of another vendor's broker means, which has only this number.
    ///
    /// `server_refused` says that the text names a server error code. An unknown account means
    /// that a person has to sign in, for every kind of request.
    #[must_use]
    pub fn kind(self, server_refused: bool) -> ErrorKind {
        match self {
            Self::Unexpected | Self::Reserved | Self::InsufficientBuffer if server_refused => {
                ErrorKind::Denied(Denial::Server)
            }
            Self::Unexpected | Self::Reserved | Self::InsufficientBuffer => ErrorKind::Internal,
            Self::InteractionRequired
            | Self::UserSwitch
            | Self::AccountUnusable
            | Self::AccountSwitch
            | Self::AccountNotFound => {
                ErrorKind::InteractionRequired { claims: None, suberror: None }
            }
            Self::NoNetwork => ErrorKind::Unavailable(Missing::Network),
            Self::NetworkTemporarilyUnavailable
            | Self::ServerTemporarilyUnavailable
            | Self::TransientError => ErrorKind::Transient { retry_after: None },
            Self::ApiContractViolation => ErrorKind::InvalidRequest { field: "request".into() },
            Self::UserCanceled | Self::ApplicationCanceled => ErrorKind::Cancelled,
            Self::IncorrectConfiguration => ErrorKind::Denied(Denial::Configuration),
            Self::AuthorityUntrusted => ErrorKind::InvalidRequest { field: "authority".into() },
            Self::UserDataRemovalRequired => ErrorKind::Denied(Denial::Server),
            Self::DeviceNotRegistered => ErrorKind::Unavailable(Missing::DeviceRegistration),
            Self::KeyNotFound => ErrorKind::Unavailable(Missing::Key),
            Self::RequiredBrokerMissing | Self::FallbackToNativeMsal => {
                ErrorKind::Unavailable(Missing::Broker)
            }
        }
    }
}

/// The `tag` of an error of this kind: the letters `KB` in the upper half, the kind's number in
/// the lower one. Tags are stable; clients print them, and treat a tag of 0 specially.
#[must_use]
pub fn tag(kind: &ErrorKind) -> i64 {
    const KEYBEARER: i64 = 0x4b42_0000;
    KEYBEARER
        + match kind {
            ErrorKind::Unavailable(Missing::Broker) => 1,
            ErrorKind::Unavailable(Missing::Network) => 2,
            ErrorKind::Unavailable(Missing::DeviceRegistration) => 3,
            ErrorKind::Unavailable(Missing::Key) => 4,
            ErrorKind::Unavailable(Missing::UserInterface) => 5,
            ErrorKind::InteractionRequired { .. } => 6,
            ErrorKind::Cancelled => 7,
            ErrorKind::TimedOut => 8,
            ErrorKind::Transient { .. } => 9,
            ErrorKind::Denied(Denial::Person) => 10,
            ErrorKind::Denied(Denial::Configuration) => 11,
            ErrorKind::Denied(Denial::Server) => 12,
            ErrorKind::InvalidRequest { .. } => 13,
            ErrorKind::Protocol { .. } => 14,
            ErrorKind::Internal => 15,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_the_status_at_its_place() {
        for (number, status) in (0_i64..).zip(ALL) {
            assert_eq!(status.as_wire(), number);
            assert_eq!(Status::from_wire(number), status);
        }
        for unknown in [-1, 22, i64::MAX, i64::MIN] {
            assert_eq!(Status::from_wire(unknown), Status::Unexpected);
        }
    }

    /// Another vendor's client gets a kind that leads to the same next step.
    #[test]
    fn each_kind_is_read_back_from_its_number_as_the_nearest_kind() {
        let sign_in = || ErrorKind::InteractionRequired { claims: None, suberror: None };
        let invalid = |field: &'static str| ErrorKind::InvalidRequest { field: field.into() };
        for (kind, number, back) in [
            (ErrorKind::Unavailable(Missing::Broker), 20, ErrorKind::Unavailable(Missing::Broker)),
            (ErrorKind::Unavailable(Missing::Network), 3, ErrorKind::Unavailable(Missing::Network)),
            (
                ErrorKind::Unavailable(Missing::DeviceRegistration),
                17,
                ErrorKind::Unavailable(Missing::DeviceRegistration),
            ),
            (ErrorKind::Unavailable(Missing::Key), 18, ErrorKind::Unavailable(Missing::Key)),
            (ErrorKind::Unavailable(Missing::UserInterface), 2, sign_in()),
            (sign_in(), 2, sign_in()),
            (ErrorKind::Cancelled, 7, ErrorKind::Cancelled),
            (ErrorKind::TimedOut, 4, ErrorKind::Transient { retry_after: None }),
            (
                ErrorKind::Transient { retry_after: None },
                5,
                ErrorKind::Transient { retry_after: None },
            ),
            (ErrorKind::Denied(Denial::Person), 7, ErrorKind::Cancelled),
            (ErrorKind::Denied(Denial::Configuration), 9, ErrorKind::Denied(Denial::Configuration)),
            (ErrorKind::Denied(Denial::Server), 0, ErrorKind::Internal),
            (invalid("scopes"), 6, invalid("request")),
            (invalid("authority"), 11, invalid("authority")),
            (invalid("account"), 19, sign_in()),
            (
                ErrorKind::Protocol { expected: "a".into(), received: "b".into() },
                0,
                ErrorKind::Internal,
            ),
            (ErrorKind::Internal, 0, ErrorKind::Internal),
        ] {
            assert_eq!(Status::of(&kind).as_wire(), number, "{kind:?}");
            assert_eq!(Status::from_wire(number).kind(false), back, "{kind:?}");
        }
    }

    #[test]
    fn every_number_means_something() {
        let meanings: Vec<String> =
            ALL.iter().map(|status| format!("{:?}", status.kind(false))).collect();
        assert_eq!(meanings.len(), 22);
        assert_eq!(Status::Unexpected.kind(true), ErrorKind::Denied(Denial::Server));
        assert_eq!(
            Status::InteractionRequired.kind(true),
            ErrorKind::InteractionRequired { claims: None, suberror: None }
        );
    }

    #[test]
    fn tags_differ_and_fit_a_signed_32_bit_number() {
        let cancelled = tag(&ErrorKind::Cancelled);
        assert_eq!(cancelled, 0x4b42_0007);
        assert_ne!(cancelled, tag(&ErrorKind::TimedOut));
        assert!(i32::try_from(tag(&ErrorKind::Internal)).is_ok());
    }
}
