use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{Claims, CorrelationId};

/// The result of anything in Keybearer that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, sorted by what the caller does next.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(clippy::exhaustive_enums, reason = "the four mapping tables must cover every kind")]
pub enum ErrorKind {
    /// Something needed is not here. The caller tries the next credential or broker.
    Unavailable(Missing),
    /// A person has to take part. The caller asks interactively.
    InteractionRequired {
        /// What the sign-in must satisfy, to be passed on.
        claims: Option<Claims>,
        /// The server's finer reason, such as `basic_action`.
        suberror: Option<String>,
    },
    /// The person or the program gave up. The caller stops.
    Cancelled,
    /// The caller's own time limit ran out. The caller may ask again with more time.
    TimedOut,
    /// It may work later. The caller retries, after `retry_after` if given.
    Transient {
        /// How long the server asked everybody to wait, from now.
        retry_after: Option<Duration>,
    },
    /// Somebody said no, and asking again will not help.
    Denied(Denial),
    /// The request itself is wrong.
    InvalidRequest {
        /// Which field to mend.
        field: Cow<'static, str>,
    },
    /// The other side did not speak the protocol.
    Protocol {
        /// What should have come.
        expected: Cow<'static, str>,
        /// What came instead, without any content that may be secret.
        received: Cow<'static, str>,
    },
    /// A defect or a damaged environment. The person reports it.
    Internal,
}

impl ErrorKind {
    /// The kind in one word that stays the same, for programs to compare.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::InteractionRequired { .. } => "interaction_required",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::Transient { .. } => "transient",
            Self::Denied(_) => "denied",
            Self::InvalidRequest { .. } => "invalid_request",
            Self::Protocol { .. } => "protocol",
            Self::Internal => "internal",
        }
    }
}

/// What is missing when something is unavailable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[allow(clippy::exhaustive_enums, reason = "the mapping tables must cover every case")]
pub enum Missing {
    /// No broker answers.
    Broker,
    /// The provider cannot be reached.
    Network,
    /// The device is not registered in a directory.
    DeviceRegistration,
    /// There is no such key.
    Key,
    /// There is no way to ask a person: no display, no browser.
    UserInterface,
}

/// Who said no.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[allow(clippy::exhaustive_enums, reason = "the mapping tables must cover every case")]
pub enum Denial {
    /// The person declined.
    Person,
    /// The app is registered or configured in a way that cannot work.
    Configuration,
    /// The directory's policy, or any other refusal of the server.
    Server,
}

/// What is known about an error besides its kind.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "plain data, copied across the wire whole")]
pub struct ErrorContext {
    /// What was attempted on what: lower case, no full stop, no secrets.
    pub message: String,
    /// The server's error code, such as `AADSTS50011`.
    pub code: Option<String>,
    /// The OAuth error, such as `invalid_grant` (RFC 6749 §5.2).
    pub oauth_error: Option<String>,
    /// The operation, here and in the server's logs.
    pub correlation_id: CorrelationId,
    /// The request in the server's logs.
    pub trace_id: Option<String>,
    /// The next step for the person.
    pub hint: Option<String>,
}

/// The error of every Keybearer crate: kind, context and source. Cheap to clone, because one
/// failed flight answers many callers.
#[derive(Clone)]
pub struct Error(Arc<ErrorParts>);

#[derive(Clone)]
struct ErrorParts {
    kind: ErrorKind,
    context: ErrorContext,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// Construction: one way in for each kind.
impl Error {
    /// An error of this kind; `message` says what was attempted on what.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let context = ErrorContext { message: message.into(), ..ErrorContext::default() };
        Self::from_parts(kind, context)
    }

    /// An error of a kind and a whole context, as it came over a wire.
    #[must_use]
    pub fn from_parts(kind: ErrorKind, context: ErrorContext) -> Self {
        Self(Arc::new(ErrorParts { kind, context, source: None }))
    }

    /// Something needed is not here.
    #[must_use]
    pub fn unavailable(missing: Missing, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable(missing), message)
    }

    /// A person has to take part.
    #[must_use]
    pub fn interaction_required(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InteractionRequired { claims: None, suberror: None }, message)
    }

    /// The person or program gave up.
    #[must_use]
    pub fn cancelled(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Cancelled, message)
    }

    /// The caller's time ran out.
    #[must_use]
    pub fn timed_out(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::TimedOut, message)
            .with_hint("try again, or allow more time with the timeout option")
    }

    /// It may work later.
    #[must_use]
    pub fn transient(retry_after: Option<Duration>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Transient { retry_after }, message)
    }

    /// The request's `field` is wrong.
    #[must_use]
    pub fn invalid_request(
        field: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self::new(ErrorKind::InvalidRequest { field: field.into() }, message)
    }

    /// The other side did not speak the protocol.
    #[must_use]
    pub fn protocol(
        expected: impl Into<Cow<'static, str>>,
        received: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (expected, received) = (expected.into(), received.into());
        let message = format!("expected {expected}, received {received}");
        Self::new(ErrorKind::Protocol { expected, received }, message)
    }

    /// A defect or a damaged environment.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }
}

/// Further context.
impl Error {
    /// Adds the next step for the person.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        self.change(|inner| inner.context.hint = Some(hint.into()))
    }

    /// Adds the operation's id unless one is there.
    #[must_use]
    pub fn with_correlation_id(self, id: CorrelationId) -> Self {
        self.change(|inner| {
            if inner.context.correlation_id.is_empty() {
                inner.context.correlation_id = id;
            }
        })
    }

    /// Adds what caused it.
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.change(|inner| inner.source = Some(Arc::from(source.into())))
    }

    fn change(mut self, change: impl FnOnce(&mut ErrorParts)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

/// Reading.
impl Error {
    /// What the caller does next.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Everything else.
    #[must_use]
    pub fn context(&self) -> &ErrorContext {
        &self.0.context
    }

    /// The next step for the person, if one is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.context.hint.as_deref()
    }

    /// The message with the codes a support engineer asks for, without the hint.
    #[must_use]
    pub fn message(&self) -> String {
        let context = self.context();
        let named = [
            (!context.correlation_id.is_empty())
                .then(|| format!("correlation id {}", context.correlation_id)),
            context.trace_id.as_ref().map(|id| format!("trace id {id}")),
        ];
        let code = context.code.iter().filter(|code| !context.message.contains(*code)).cloned();
        let details: Vec<String> = code.chain(named.into_iter().flatten()).collect();
        if details.is_empty() {
            context.message.clone()
        } else {
            format!("{} ({})", context.message, details.join(", "))
        }
    }

    /// The messages of all causes, outermost first.
    pub fn causes(&self) -> impl Iterator<Item = String> {
        let first: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(self);
        std::iter::successors(first, |error| error.source()).map(ToString::to_string)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())?;
        self.hint().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", self.kind())
            .field("context", self.context())
            .field("source", &self.0.source.as_ref().map(ToString::to_string))
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_carries_the_code_the_correlation_id_and_the_next_step() {
        let mut context = ErrorContext { message: "redeem the code".into(), ..Default::default() };
        context.code = Some("AADSTS50011".into());
        context.trace_id = Some("t-1".into());
        context.hint = Some("register http://localhost".into());
        let error = Error::from_parts(ErrorKind::Denied(Denial::Configuration), context)
            .with_correlation_id(CorrelationId::new("c-1"));
        assert_eq!(
            error.to_string(),
            "redeem the code (AADSTS50011, correlation id c-1, trace id t-1); register http://localhost"
        );
    }

    #[test]
    fn the_first_correlation_id_stays() {
        let error = Error::internal("x")
            .with_correlation_id(CorrelationId::new("server"))
            .with_correlation_id(CorrelationId::new("caller"));
        assert_eq!(error.context().correlation_id.as_str(), "server");
    }

    #[test]
    fn causes_are_listed_in_order() {
        let inner = Error::internal("inner").with_source(std::io::Error::other("disk"));
        let causes: Vec<String> = Error::internal("outer").with_source(inner).causes().collect();
        assert_eq!(causes, ["inner", "disk"]);
    }
}
