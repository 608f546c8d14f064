use std::time::Instant;

use keybearer_core::{Error, Result, SilentRequest, Token};

use super::parameters::TokenEcho;
use super::{Call, Method, own, parameters, token};

/// `acquireTokenSilently`: a token without any user interface.
#[derive(Debug)]
#[non_exhaustive]
pub struct AcquireTokenSilently;

impl Method for AcquireTokenSilently {
    type Request = SilentRequest;
    type Reply = Token;
    type Echo = TokenEcho;

    const NAME: &'static str = "acquireTokenSilently";

    fn encode_request(request: &SilentRequest, now: Instant) -> String {
        parameters::write(&request.parameters, None, now)
    }

    fn decode_request(json: &str, call: &Call) -> Result<(SilentRequest, Self::Echo)> {
        let read = parameters::read(json, call, own::SILENT_TIMEOUT)?;
        Ok((SilentRequest { parameters: read.parameters }, read.echo))
    }

    fn encode_reply(reply: &Token, echo: &TokenEcho) -> String {
        token::write(reply, echo)
    }

    fn decode_reply(json: &str, request: &SilentRequest) -> Result<Token> {
        token::read(json, &request.parameters)
    }

    fn encode_error(error: &Error) -> String {
        token::write_error(error)
    }
}
