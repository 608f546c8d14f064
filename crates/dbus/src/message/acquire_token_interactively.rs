use std::time::Instant;

use keybearer_core::{AccountChoice, Error, InteractiveRequest, Result, Token};

use super::parameters::TokenEcho;
use super::{Call, Method, own, parameters, token};

/// `acquireTokenInteractively`: a token; the person may be asked.
///
/// `prompt` is read from `keybearer` and from `authParameters`, and written to both: there are
/// brokers of other vendors that honour the latter.
#[derive(Debug)]
#[non_exhaustive]
pub struct AcquireTokenInteractively;

impl Method for AcquireTokenInteractively {
    type Request = InteractiveRequest;
    type Reply = Token;
    type Echo = TokenEcho;

    const NAME: &'static str = "acquireTokenInteractively";

    fn encode_request(request: &InteractiveRequest, now: Instant) -> String {
        let sign_in = Some((request.prompt, &request.sign_in_options));
        parameters::write(&request.parameters, sign_in, now)
    }

    fn decode_request(json: &str, call: &Call) -> Result<(InteractiveRequest, Self::Echo)> {
        let mut read = parameters::read(json, call, own::INTERACTIVE_TIMEOUT)?;
        // Microsoft's client passes no prompt on, not even the one that asks for an account to be
        // picked. With several accounts, the one used last would be a guess.
        if read.parameters.account == AccountChoice::Default && !read.is_own {
            read.parameters.account = AccountChoice::Only;
        }
        let request = InteractiveRequest {
            parameters: read.parameters,
            prompt: read.prompt,
            sign_in_options: read.sign_in_options,
        };
        Ok((request, read.echo))
    }

    fn encode_reply(reply: &Token, echo: &TokenEcho) -> String {
        token::write(reply, echo)
    }

    fn decode_reply(json: &str, request: &InteractiveRequest) -> Result<Token> {
        token::read(json, &request.parameters)
    }

    fn encode_error(error: &Error) -> String {
        token::write_error(error)
    }
}
