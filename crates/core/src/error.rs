use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{Claims, CorrelationId};

/// The result of every fallible function in Keybearer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of an error, which decides what the caller does next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ErrorKind {
    /// Something is missing. The caller tries the next credential or broker.
    Unavailable(Missing),
    /// A person has to sign in. The caller makes an interactive request.
    InteractionRequired {
        /// What the sign-in must satisfy; part of the interactive request.
        claims: Option<Claims>,
        /// The server's finer reason, such as `basic_action`.
        suberror: Option<String>,
    },
    /// The person or the program cancelled. The caller stops.
    Cancelled,
    /// The caller's time limit was reached. The caller may try again with more time.
    TimedOut,
    /// The request may succeed later. The caller retries, after `retry_after` if given.
    Transient {
        /// How long the server asks its clients to wait, from now.
        retry_after: Option<Duration>,
    },
    /// The request was refused; retrying does not help.
    Denied(Denial),
    /// The request itself is wrong.
    InvalidRequest {
        /// Which field is wrong.
        field: Cow<'static, str>,
    },
    /// The peer violated the protocol.
    Protocol {
        /// What the protocol requires.
        expected: Cow<'static, str>,
        /// What was received, without content that may be secret.
        received: Cow<'static, str>,
    },
    /// A defect, or a damaged environment. The person reports it.
    Internal,
}

impl ErrorKind {
    /// The kind as a stable word, for programs to compare.
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
pub enum Missing {
    /// No broker answers.
    Broker,
    /// The provider cannot be reached.
    Network,
    /// The device is not registered in a directory.
    DeviceRegistration,
    /// The key does not exist.
    Key,
    /// A person cannot be asked: no display, browser or terminal.
    UserInterface,
}

/// What refused the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Denial {
    /// The person declined.
    Person,
    /// The app's registration or configuration, which cannot work.
    Configuration,
    /// The directory's policy, or any other refusal of the server.
    Server,
}

/// What is known about an error besides its kind.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ErrorContext {
    /// "could not VERB THING: reason" or a plain fact; lower case, no full stop, no secrets.
    pub message: String,
    /// The server's error code, such as `AADSTS50011`.
    pub code: Option<String>,
    /// The OAuth error, such as `invalid_grant` (RFC 6749 §5.2).
    pub oauth_error: Option<String>,
    /// The operation, in these logs and in the server's.
    pub correlation_id: CorrelationId,
    /// The request in the server's logs.
    pub trace_id: Option<String>,
    /// The next step for the person.
    pub hint: Option<String>,
}

impl ErrorContext {
    /// Moves here what a reader must see once, and removes from `cause` what it repeats.
    fn absorb(&mut self, cause: &mut Self) {
        self.hint = self.hint.take().or_else(|| cause.hint.take());
        cause.hint = None;
        if self.correlation_id.is_empty() {
            self.correlation_id = std::mem::take(&mut cause.correlation_id);
        } else if self.correlation_id == cause.correlation_id {
            cause.correlation_id = CorrelationId::default();
        }
        if self.code == cause.code {
            cause.code = None;
        }
        if self.trace_id == cause.trace_id {
            cause.trace_id = None;
        }
    }

    /// What a support engineer asks for: the server's code, the correlation id, the trace id.
    /// Values in the message or in a line of `shown` are left out.
    fn details(&self, shown: &[String]) -> String {
        let is_new = |value: &str| {
            let mut lines = shown.iter().chain([&self.message]);
            !value.is_empty() && lines.all(|line| !line.contains(value))
        };
        let id = self.correlation_id.as_str();
        let (code, trace) = (self.code.as_deref(), self.trace_id.as_deref());
        let named = [("", code), ("correlation id ", Some(id)), ("trace id ", trace)];
        let details = named.into_iter().filter_map(|(name, value)| {
            let value = value.filter(|value| is_new(value))?;
            Some(format!("{name}{value}"))
        });
        details.collect::<Vec<_>>().join(", ")
    }
}

/// The error of every Keybearer crate: kind, context and source. Cheap to clone, because callers
/// that share a request get the same error.
#[derive(Clone)]
pub struct Error(Arc<ErrorParts>);

#[derive(Clone)]
struct ErrorParts {
    kind: ErrorKind,
    context: ErrorContext,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// Construction: one function for each kind.
impl Error {
    /// An error of this kind. See [`ErrorContext::message`] for its form.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let context = ErrorContext { message: message.into(), ..ErrorContext::default() };
        Self::from_parts(kind, context)
    }

    /// An error of this kind with a whole context, such as one received from another process.
    #[must_use]
    pub fn from_parts(kind: ErrorKind, mut context: ErrorContext) -> Self {
        context.hint = context.hint.filter(|hint| !hint.is_empty());
        Self(Arc::new(ErrorParts { kind, context, source: None }))
    }

    /// Something is missing.
    #[must_use]
    pub fn unavailable(missing: Missing, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable(missing), message)
    }

    /// A person has to sign in.
    #[must_use]
    pub fn interaction_required(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InteractionRequired { claims: None, suberror: None }, message)
    }

    /// The person or the program cancelled.
    #[must_use]
    pub fn cancelled(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Cancelled, message)
    }

    /// The caller's time limit was reached.
    #[must_use]
    pub fn timed_out(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::TimedOut, message)
            .with_hint("try again, or allow more time with the timeout option")
    }

    /// The request may succeed later.
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

    /// The peer violated the protocol.
    #[must_use]
    pub fn protocol(
        expected: impl Into<Cow<'static, str>>,
        received: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (expected, received) = (expected.into(), received.into());
        let message = format!("expected {expected}, received {received}");
        Self::new(ErrorKind::Protocol { expected, received }, message)
    }

    /// A defect, or a damaged environment.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }
}

/// Further context.
impl Error {
    /// Sets the next step for the person, which must not be empty.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        debug_assert!(!hint.is_empty(), "empty hint for {self:?}");
        if hint.is_empty() { self } else { self.change(|parts| parts.context.hint = Some(hint)) }
    }

    /// Sets the correlation id unless the error has one already.
    #[must_use]
    pub fn with_correlation_id(self, id: CorrelationId) -> Self {
        self.change(|parts| {
            if parts.context.correlation_id.is_empty() {
                parts.context.correlation_id = id;
            }
        })
    }

    /// Sets the cause. The hint and the correlation id of a cause of this type move to this error
    /// unless it has its own, so that following [`source`](std::error::Error::source) shows each
    /// of them once.
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.change(|parts| {
            parts.source = Some(match source.into().downcast::<Self>() {
                Ok(cause) => {
                    Arc::new(cause.change(|cause| parts.context.absorb(&mut cause.context)))
                }
                Err(source) => Arc::from(source),
            });
        })
    }

    fn change(mut self, change: impl FnOnce(&mut ErrorParts)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

/// Reading.
impl Error {
    /// The kind, which decides what the caller does next.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The message, the ids and the hint.
    #[must_use]
    pub fn context(&self) -> &ErrorContext {
        &self.0.context
    }

    /// The next step for the person, if one is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.context.hint.as_deref()
    }

    /// The message, with the server's code, the correlation id and the trace id in parentheses, but
    /// without the hint and the causes.
    #[must_use]
    pub fn message(&self) -> String {
        let context = self.context();
        match context.details(&[]) {
            details if details.is_empty() => context.message.clone(),
            details => format!("{} ({details})", context.message),
        }
    }

    /// The causes as text, outermost first, without hints. A cause, code or id that is part of a
    /// line above is left out.
    pub fn causes(&self) -> impl Iterator<Item = String> {
        let mut shown = vec![self.message()];
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            shown.extend(new_text(cause, &shown));
            next = cause.source();
        }
        shown.into_iter().skip(1)
    }

    /// [`message`](Self::message) and [`causes`](Self::causes) in one line.
    #[must_use]
    pub fn full_message(&self) -> String {
        std::iter::once(self.message()).chain(self.causes()).collect::<Vec<_>>().join(": ")
    }
}

/// What `cause` adds to the lines in `shown`, if anything.
fn new_text(cause: &(dyn std::error::Error + 'static), shown: &[String]) -> Option<String> {
    let (message, details) = match cause.downcast_ref::<Error>() {
        Some(error) => (error.context().message.clone(), error.context().details(shown)),
        None => (cause.to_string(), String::new()),
    };
    let is_new = shown.iter().all(|line| !line.contains(&message));
    match (is_new, details.is_empty()) {
        (true, true) => Some(message),
        (true, false) => Some(format!("{message} ({details})")),
        (false, true) => None,
        (false, false) => Some(details),
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
        let mut context =
            ErrorContext { message: "could not redeem the code".into(), ..Default::default() };
        context.code = Some("AADSTS50011".into());
        context.trace_id = Some("t-1".into());
        context.hint = Some("register http://localhost".into());
        let error = Error::from_parts(ErrorKind::Denied(Denial::Configuration), context)
            .with_correlation_id(CorrelationId::new("c-1"));
        assert_eq!(
            error.to_string(),
            "could not redeem the code (AADSTS50011, correlation id c-1, trace id t-1); register http://localhost"
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
    fn a_cause_repeats_nothing_of_the_error_it_caused() {
        let refusal = |message: &str| {
            let mut context = ErrorContext { message: message.into(), ..Default::default() };
            context.code = Some("AADSTS50105".into());
            context.hint = Some("ask the administrator".into());
            context.trace_id = Some("t-1".into());
            Error::from_parts(ErrorKind::Denied(Denial::Server), context)
                .with_correlation_id(CorrelationId::new("c-1"))
        };
        let ids = "(AADSTS50105, correlation id c-1, trace id t-1)";
        for (outer, inner, full) in [
            (refusal("refused"), refusal("refused"), format!("refused {ids}")),
            (refusal("refused here"), refusal("refused"), format!("refused here {ids}")),
            (refusal("no"), refusal("refused"), format!("no {ids}: refused")),
            (
                Error::internal("no"),
                refusal("x"),
                "no (correlation id c-1): x (AADSTS50105, trace id t-1)".into(),
            ),
            (
                Error::internal("AADSTS50105: no"),
                refusal("no"),
                "AADSTS50105: no (correlation id c-1): trace id t-1".into(),
            ),
        ] {
            let error = outer.with_source(inner);
            assert_eq!(error.full_message(), full);
            assert_eq!(error.hint(), Some("ask the administrator"));
            let below = std::error::Error::source(&error).unwrap().to_string();
            assert!(!below.contains("administrator") && !below.contains("c-1"), "{below}");
        }
    }

    #[test]
    fn the_outermost_hint_and_id_win() {
        let inner = Error::internal("inner")
            .with_hint("do that")
            .with_correlation_id(CorrelationId::new("theirs"));
        let outer = Error::internal("outer")
            .with_hint("do this")
            .with_correlation_id(CorrelationId::new("ours"))
            .with_source(inner);
        assert_eq!(outer.hint(), Some("do this"));
        assert_eq!(
            outer.full_message(),
            "outer (correlation id ours): inner (correlation id theirs)"
        );
    }

    #[test]
    fn an_empty_hint_is_no_hint() {
        let context = ErrorContext { hint: Some(String::new()), ..Default::default() };
        assert_eq!(Error::from_parts(ErrorKind::Internal, context).hint(), None);
    }

    #[test]
    fn causes_are_listed_in_order() {
        let inner = Error::internal("inner").with_source(std::io::Error::other("disk"));
        let causes: Vec<String> = Error::internal("outer").with_source(inner).causes().collect();
        assert_eq!(causes, ["inner", "disk"]);
    }
}
