//! The messages of the interface, one file per method.
//!
//! Reading is tolerant, because clients differ: unknown keys are ignored, `null` and `""` mean
//! none, numbers may be text, and everything optional may be missing. Writing is exact: every key
//! that a known client needs is there. This is one of the two places where secrets
//! are serialised.
//!
//! Beyond that, Keybearer's client and broker exchange keys that others ignore: a
//! `keybearer` object in requests (`timeoutMs`, `account`, `prompt`, `method`, `presenter`, `ssh`,
//! `correlationId`) and
//! `keybearer_` keys in `telemetry` and in the `diagnostics` of errors. The broker
//! assumes of a client that sends none of them that it waits 60 seconds, or 10 minutes for a person,
//! and that it accepts the account used last where it names none. No request waits longer than an
//! hour.

use std::time::Instant;

use keybearer_core::{BrokerRequest, Caller, CorrelationId, Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::caller_ui::CallbackChannel;

mod account;
mod acquire_prt_sso_cookie;
mod acquire_token_interactively;
mod acquire_token_silently;
mod cancel_interactive_flow;
mod error;
mod generate_signed_http_request;
mod get_accounts;
mod get_linux_broker_version;
mod member;
mod own;
mod parameters;
mod pop_parameters;
pub(crate) mod presenting;
mod remove_account;
mod token;
pub mod windows_proxy;

pub use acquire_prt_sso_cookie::AcquirePrtSsoCookie;
pub use acquire_token_interactively::AcquireTokenInteractively;
pub use acquire_token_silently::AcquireTokenSilently;
pub use cancel_interactive_flow::{CancelInteractiveFlow, Cancellation};
pub use generate_signed_http_request::GenerateSignedHttpRequest;
pub use get_accounts::GetAccounts;
pub use get_linux_broker_version::{BrokerVersion, GetLinuxBrokerVersion};
pub use parameters::TokenEcho;
pub use remove_account::RemoveAccount;

use error::{ErrorMembers, ErrorObject};
use member::{Member, Nested};
pub(crate) use parameters::is_prompt_none;

/// The most a request may hold, in bytes. Real ones stay below 10 kB, unless they carry a token.
pub const MAX_REQUEST: usize = 1 << 20;

/// One method of the interface: its name, and how its request and reply are written and read.
pub trait Method {
    /// What is asked.
    type Request: Send + Sync;
    /// What is answered.
    type Reply;
    /// What of a request, as the client spelt it, is repeated in the reply.
    type Echo: Send;

    /// The method's name on the wire.
    const NAME: &'static str;

    /// Writes the request; on the wire, its deadline is what is left of it `now`.
    fn encode_request(request: &Self::Request, now: Instant) -> String;

    /// Reads a request.
    ///
    /// # Errors
    /// `InvalidRequest`, naming the field, if the text is malformed or lacks something needed.
    fn decode_request(json: &str, call: &Call) -> Result<(Self::Request, Self::Echo)>;

    /// Writes the reply.
    fn encode_reply(reply: &Self::Reply, echo: &Self::Echo) -> String;

    /// Reads a reply to `request`.
    ///
    /// # Errors
    /// The broker's error if the reply carries one; `Protocol`, without any content, if it is
    /// malformed.
    fn decode_reply(json: &str, request: &Self::Request) -> Result<Self::Reply>;

    /// Writes the reply of a failed call.
    #[must_use]
    fn encode_error(error: &Error) -> String {
        #[derive(Serialize)]
        struct Failed {
            error: ErrorObject,
        }
        to_json(&Failed { error: error.into() })
    }
}

/// A method that asks the broker: its request is one that can be made at any broker. Client and
/// server need to know nothing else about it.
pub trait BrokerMethod:
    Method<Request: BrokerRequest<Reply = <Self as Method>::Reply>, Reply: Send, Echo: Send>
{
}

impl<M> BrokerMethod for M where
    M: Method<Request: BrokerRequest<Reply = <M as Method>::Reply>, Reply: Send, Echo: Send>
{
}

/// What a broker knows of a call besides its JSON text.
#[derive(Clone, Debug)]
pub struct Call {
    /// The second argument; may be empty.
    pub correlation_id: CorrelationId,
    /// When it arrived; the limit that it names counts from here.
    pub received: Instant,
    /// The caller.
    pub caller: Caller,
    /// The way back to it, if there is one.
    pub callback: Option<CallbackChannel>,
}

/// Reads the JSON text of a request. The error names the position and shows no content.
fn from_request<T: DeserializeOwned>(json: &str) -> Result<T> {
    if json.len() > MAX_REQUEST {
        return Err(Error::invalid_request("request", "the request is larger than 1 MiB"));
    }
    serde_json::from_str(json).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Error::invalid_request(
            "request",
            format!("the request is not a JSON object (line {line}, column {column})"),
        )
    })
}

/// Reads the JSON text of a reply. A trailing NUL, as the Windows proxy writes it, is ignored.
fn from_reply<T: DeserializeOwned>(json: &str) -> Result<T> {
    let json = json.trim_end_matches(['\0', '\r', '\n']);
    if json.is_empty() {
        return Err(Error::protocol("a JSON object as the broker's reply", "nothing"));
    }
    serde_json::from_str(json)
        .map_err(|_| Error::protocol("a JSON object as the broker's reply", "something else"))
}

fn to_json<T: Serialize>(value: &T) -> String {
    // A reply with a token is a few kilobytes: growing to it would copy the token several times.
    to_json_of(value, TYPICAL_LENGTH)
}

/// The same for a message that is about so long.
#[allow(clippy::expect_used, reason = "texts, integers and maps with text keys always serialise")]
fn to_json_of<T: Serialize>(value: &T, length: usize) -> String {
    let mut json = Vec::with_capacity(length);
    serde_json::to_writer(&mut json, value).expect("messages serialise");
    String::from_utf8(json).expect("JSON is UTF-8")
}

/// Room for a reply with a token, or a request.
const TYPICAL_LENGTH: usize = 4096;

/// Fails if a reply carries an error.
fn check_error(error: Member<Nested<ErrorMembers>>) -> Result<()> {
    error.in_reply("error")?.map_or(Ok(()), |Nested(error)| Err(error.into()))
}
