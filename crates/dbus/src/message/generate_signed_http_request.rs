use std::time::Instant;

use keybearer_core::{
    AccountChoice, ClientId, Error, HomeAccountId, Result, SignHttpRequest, SignedHttpRequest,
};
use serde::{Deserialize, Serialize};

use super::error::ErrorMembers;
use super::own::{ExtensionIn, ExtensionOut, SILENT_TIMEOUT};
use super::pop_parameters::{PopMembers, PopObject};
use super::{Call, Member, Method, Nested, check_error, from_reply, from_request, to_json};

/// `generateSignedHttpRequest`: signs with the key an account's tokens are bound to.
///
/// The request names an account (`popParams.homeAccountId`) and no token, and no document says
/// whether other brokers add one. Keybearer signs without a token: the claim `at` is absent, the rest
/// is as in a signed HTTP request that comes with a token. What a resource makes of that is between
/// it and the app.
///
/// A login hint cannot be said in this request; it is sent as "none was asked for".
#[derive(Debug)]
#[non_exhaustive]
pub struct GenerateSignedHttpRequest;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Members {
    client_id: Member<String>,
    keybearer: Member<Nested<ExtensionIn>>,
    pop_params: Member<Nested<PopMembers>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Object<'a> {
    client_id: &'a str,
    keybearer: ExtensionOut,
    pop_params: PopObject<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reply<'a> {
    signed_http_request: &'a str,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ReplyMembers {
    error: Member<Nested<ErrorMembers>>,
    signed_http_request: Member<String>,
}

impl Method for GenerateSignedHttpRequest {
    type Request = SignHttpRequest;
    type Reply = SignedHttpRequest;
    type Echo = ();

    const NAME: &'static str = "generateSignedHttpRequest";

    fn encode_request(request: &SignHttpRequest, now: Instant) -> String {
        to_json(&Object {
            client_id: request.client_id.as_ref().map_or("", ClientId::as_str),
            keybearer: ExtensionOut::new(request.deadline.left(now)).with_account(&request.account),
            pop_params: PopObject::signing(
                &request.http,
                match &request.account {
                    AccountChoice::Exact(id) => id.as_str(),
                    _ => "",
                },
            ),
        })
    }

    fn decode_request(json: &str, call: &Call) -> Result<(SignHttpRequest, ())> {
        let Members { client_id, keybearer, pop_params } = from_request(json)?;
        let own = ExtensionIn::of(keybearer);
        let Nested(pop) = pop_params.required("popParams")?;
        let client_id = client_id.in_request("clientId")?;
        let account = pop.home_account_id.clone().in_request("homeAccountId")?;
        let request = SignHttpRequest {
            client_id: client_id.map(|id| ClientId::parse(&id)).transpose()?,
            account: match account {
                Some(id) => AccountChoice::Exact(HomeAccountId::parse(&id)?),
                None => own.open_choice(),
            },
            http: pop.http_request()?,
            correlation_id: call.correlation_id.clone(),
            deadline: own.deadline(SILENT_TIMEOUT, call.received),
        };
        Ok((request, ()))
    }

    fn encode_reply(signed: &SignedHttpRequest, (): &()) -> String {
        to_json(&Reply { signed_http_request: signed.expose() })
    }

    fn decode_reply(json: &str, _: &SignHttpRequest) -> Result<SignedHttpRequest> {
        let ReplyMembers { error, signed_http_request } = from_reply(json)?;
        check_error(error)?;
        match signed_http_request.in_reply("signedHttpRequest")? {
            Some(signed) => Ok(SignedHttpRequest::new(signed)),
            None => Err(Error::protocol("signedHttpRequest in the broker's reply", "none")),
        }
    }
}
