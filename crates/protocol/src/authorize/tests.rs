use keybearer_core::{Authority, Denial, ErrorKind};

use super::*;
use crate::testdata::metadata;

const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

fn url(extra_query: &BTreeMap<String, String>) -> Result<Url> {
    AuthorizationRequest {
        metadata: &metadata(&Authority::parse("https://localhost:8443/common").unwrap()),
        client_id: &ClientId::parse("app-1").unwrap(),
        redirect_uri: &Url::parse("http://localhost:4711").unwrap(),
        response_mode: ResponseMode::FormPost,
        scopes: &ScopeSet::parse(&["https://storage.azure.com/.default"]).unwrap(),
        state: "s-1",
        nonce: "n-1",
        challenge: "c-1",
        prompt: Prompt::SelectAccount,
        login_hint: Some("dev@contoso.example"),
        claims: Claims::parse(r#"{"access_token":{"x":null}}"#).unwrap().as_ref(),
        extra_query,
        correlation_id: &CorrelationId::new("id-1"),
    }
    .url()
}

#[test]
fn the_address_carries_every_parameter_once() {
    let url = url(&BTreeMap::from([("domain_hint".into(), "contoso.example".into())])).unwrap();
    assert_eq!(url.path(), "/common/oauth2/v2.0/authorize");
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let expected = [
        ("client_id", "app-1"),
        ("response_type", "code"),
        ("response_mode", "form_post"),
        ("redirect_uri", "http://localhost:4711"),
        ("scope", "https://storage.azure.com/.default openid profile offline_access"),
        ("state", "s-1"),
        ("nonce", "n-1"),
        ("code_challenge", "c-1"),
        ("code_challenge_method", "S256"),
        ("client_info", "1"),
        ("client-request-id", "id-1"),
        ("prompt", "select_account"),
        ("login_hint", "dev@contoso.example"),
        ("claims", r#"{"access_token":{"x":null}}"#),
        ("domain_hint", "contoso.example"),
    ];
    assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn extra_parameters_cannot_replace_ours() {
    for name in ["state", "redirect_uri", "Code_Challenge", "request_uri", "nonce"] {
        let error = url(&BTreeMap::from([(name.into(), "x".into())])).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::InvalidRequest { field: "extra_query".into() });
    }
}

fn answered(parameters: &str, names_issuer: bool) -> Answer {
    let mut metadata = metadata(&Authority::parse("https://localhost:8443/common").unwrap());
    metadata.names_issuer_in_answers = names_issuer;
    let expected = Expected { state: "s-1", metadata: &metadata };
    answer(&RedirectParameters::parse(parameters.as_bytes()), &expected)
}

#[test]
fn an_answer_with_another_state_is_not_ours() {
    for other in [
        "",
        "code=c",
        "code=c&state=",
        "code=c&state=s-2",
        "code=c&state=s-1&state=s-1",
        "error=access_denied",
    ] {
        assert!(matches!(answered(other, false), Answer::NotOurs), "{other}");
    }
}

#[test]
fn no_state_matches_an_empty_one() {
    let metadata = metadata(&Authority::parse("https://localhost:8443/common").unwrap());
    let expected = Expected { state: "", metadata: &metadata };
    let answer = answer(&RedirectParameters::parse(b"code=c&state="), &expected);
    assert!(matches!(answer, Answer::NotOurs));
}

#[test]
fn the_code_is_taken_from_our_answer() {
    let issuer = format!("https%3A%2F%2Flocalhost%3A8443%2F{TENANT}%2Fv2.0");
    for (parameters, names_issuer) in [
        ("code=c-1&state=s-1&session_state=x".to_owned(), false),
        (format!("code=c-1&state=s-1&iss={issuer}"), false),
        (format!("code=c-1&state=s-1&iss={issuer}"), true),
    ] {
        let Answer::Code(code) = answered(&parameters, names_issuer) else {
            panic!("{parameters}")
        };
        assert_eq!(code.expose(), "c-1");
    }
}

#[test]
fn contradictory_answers_and_those_of_another_issuer_are_refused() {
    for (parameters, names_issuer) in [
        ("state=s-1", false),
        ("state=s-1&code=", false),
        ("state=s-1&code=a&code=b", false),
        ("state=s-1&code=c&error=access_denied", false),
        ("state=s-1&code=c&iss=https://evil.example", false),
        ("state=s-1&code=c&iss=", false),
        ("state=s-1&code=c", true),
        ("state=s-1&error=access_denied", true),
        ("state=s-1&code=c&iss=https://localhost:8443/x&iss=https://localhost:8443/x", false),
    ] {
        let Answer::Refused(error) = answered(parameters, names_issuer) else {
            panic!("{parameters}")
        };
        assert!(matches!(error.kind(), ErrorKind::Protocol { .. }), "{parameters}: {error}");
    }
}

#[test]
fn an_error_of_the_provider_is_explained() {
    for (parameters, kind) in [
        ("error=access_denied", ErrorKind::Denied(Denial::Person)),
        ("error=login_required", ErrorKind::InteractionRequired { claims: None, suberror: None }),
        ("error=server_error", ErrorKind::Transient { retry_after: None }),
    ] {
        let Answer::Refused(error) = answered(&format!("state=s-1&{parameters}"), false) else {
            panic!("{parameters}")
        };
        assert_eq!(error.kind(), &kind);
    }
}
