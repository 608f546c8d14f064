//! No input, however odd, makes a parser panic.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use keybearer_core::{Authority, AuthorityHost, HomeAccountId};
use keybearer_protocol::{
    Body, RedirectParameters, authorize, challenge, client_info, device_code, error, instance,
    keys, metadata, token,
};
use proptest::prelude::*;

fn response(status: u16, body: Vec<u8>) -> http::Response<Body> {
    http::Response::builder().status(status).body(Body::new(body)).unwrap()
}

/// Bytes, and text that comes closer to what is expected.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let field = "error|error_description|error_codes|access_token|token_type|expires_in|issuer\
                 |token_endpoint|client_info|keys|metadata|scope";
    let value = prop_oneof![
        Just("\"Bearer\"".to_owned()),
        "\"[ -!#-\\[\\]-~é]{0,20}\"",
        "-?[0-9]{1,20}",
        "\\[[0-9]?\\]",
        Just("null".to_owned()),
    ];
    let object = prop::collection::vec((field, value), 0..6).prop_map(|fields| {
        let fields: Vec<String> =
            fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", fields.join(",")).into_bytes()
    });
    prop_oneof![any::<Vec<u8>>(), object]
}

proptest! {
    #[test]
    fn answers_of_a_provider_are_read_or_refused(status in 200_u16..600, body in body()) {
        let response = response(status, body);
        let authority = Authority::parse("https://localhost:8443/common").unwrap();
        let _ = metadata::parse(&authority, &response);
        let _ = instance::parse(&AuthorityHost::public_cloud(), &response);
        let _ = keys::parse(&response);
        let _ = token::parse(&response);
        let _ = device_code::parse(&response);
        let _ = device_code::poll(&response);
        let _ = error::from_response(&response, "request");
    }

    #[test]
    fn what_arrives_at_the_redirect_uri_is_read_or_refused(
        encoded in prop_oneof![
            any::<Vec<u8>>(),
            "((state|code|error|error_description|iss)=[ -~é]{0,9}&){0,5}".prop_map(String::into_bytes),
        ],
    ) {
        let authority = Authority::parse("https://localhost:8443/common").unwrap();
        let body = br#"{"issuer":"https://localhost:8443/{tenantid}/v2.0",
            "authorization_endpoint":"https://localhost:8443/a",
            "token_endpoint":"https://localhost:8443/t","jwks_uri":"https://localhost:8443/k"}"#;
        let metadata = metadata::parse(&authority, &response(200, body.to_vec())).unwrap();
        let parameters = RedirectParameters::parse(&encoded);
        let state = parameters.only("state").unwrap_or("s").to_owned();
        let expected = authorize::Expected { state: &state, metadata: &metadata };
        let _ = authorize::answer(&parameters, &expected);
        let _ = error::from_redirect(&parameters);
    }

    #[test]
    fn challenges_are_read_or_ignored(
        header in prop_oneof![any::<String>(), "(Bearer|PoP|error|claims|nonce|authorization_uri|https://[=/a]*|[=, \"\\\\a]){0,30}"],
    ) {
        let _ = (challenge::claims(&header), challenge::directory(&header));
        let _ = challenge::nonce(&header);
    }

    #[test]
    fn client_info_is_read_or_refused(text in any::<String>()) {
        let _ = client_info::parse(&text).and_then(|info| info.home_account_id());
    }

    #[test]
    fn every_account_survives_its_encoding(uid in "[a-z0-9-]{1,40}", utid in "[a-z0-9.-]{1,40}") {
        let id = HomeAccountId::from_parts(&uid, &utid).unwrap();
        let read = client_info::parse(&client_info::encode(&id)).unwrap();
        prop_assert_eq!(read.home_account_id().unwrap(), id);
    }
}
