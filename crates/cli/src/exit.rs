use std::process::ExitCode;

use keybearer_core::{ErrorKind, Missing};

/// The exit codes of the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    InteractionRequired = 3,
    Cancelled = 4,
    Unavailable = 5,
    TimedOut = 6,
}

/// The exit codes as help text.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed: denied, or a server error
  2  wrong usage
  3  sign-in required
  4  cancelled
  5  broker or network unavailable
  6  timed out";

impl Exit {
    /// The exit code of an error.
    pub(crate) const fn of(kind: &ErrorKind) -> Self {
        match kind {
            ErrorKind::Unavailable(missing) => match missing {
                // A person has to sign in, but cannot be asked from here.
                Missing::UserInterface => Self::InteractionRequired,
                Missing::Broker | Missing::Network | Missing::DeviceRegistration | Missing::Key => {
                    Self::Unavailable
                }
            },
            ErrorKind::InteractionRequired { .. } => Self::InteractionRequired,
            ErrorKind::Cancelled => Self::Cancelled,
            ErrorKind::TimedOut => Self::TimedOut,
            ErrorKind::InvalidRequest { .. } => Self::Usage,
            ErrorKind::Transient { .. }
            | ErrorKind::Denied(_)
            | ErrorKind::Protocol { .. }
            | ErrorKind::Internal => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use keybearer_core::Denial;

    use super::*;

    #[test]
    fn every_kind_of_error_has_its_exit_code() {
        let protocol = ErrorKind::Protocol { expected: "".into(), received: "".into() };
        for (kind, code) in [
            (ErrorKind::Unavailable(Missing::Broker), 5),
            (ErrorKind::Unavailable(Missing::Network), 5),
            (ErrorKind::Unavailable(Missing::DeviceRegistration), 5),
            (ErrorKind::Unavailable(Missing::Key), 5),
            (ErrorKind::Unavailable(Missing::UserInterface), 3),
            (ErrorKind::InteractionRequired { claims: None, suberror: None }, 3),
            (ErrorKind::Cancelled, 4),
            (ErrorKind::TimedOut, 6),
            (ErrorKind::Transient { retry_after: None }, 1),
            (ErrorKind::Denied(Denial::Person), 1),
            (ErrorKind::Denied(Denial::Configuration), 1),
            (ErrorKind::Denied(Denial::Server), 1),
            (ErrorKind::InvalidRequest { field: "scopes".into() }, 2),
            (protocol, 1),
            (ErrorKind::Internal, 1),
        ] {
            assert_eq!(Exit::of(&kind) as u8, code, "{kind:?}");
        }
    }

    #[test]
    fn the_help_lists_every_code_once() {
        let listed: Vec<u8> = EXIT_CODES
            .lines()
            .skip(1)
            .map(|line| line.trim_start().split(' ').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(listed, [0, 1, 2, 3, 4, 5, 6]);
    }
}
