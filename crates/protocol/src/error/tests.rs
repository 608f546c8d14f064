use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::*;
use crate::testdata::cases;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    docs: String,
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Value,
    kind: String,
    code: Option<String>,
    oauth_error: Option<String>,
    hint: String,
    message: Option<String>,
    trace_id: Option<String>,
    correlation_id: Option<String>,
}

impl Case {
    fn response(&self) -> http::Response<Body> {
        let body = self.body.as_str().map_or_else(|| self.body.to_string(), str::to_owned);
        let mut builder = http::Response::builder().status(self.status);
        for (name, value) in &self.headers {
            builder = builder.header(name, value);
        }
        builder.body(Body::new(body.into_bytes())).unwrap()
    }
}

fn agree(docs: &str, expected: Option<&String>, found: Option<&str>) {
    if let Some(expected) = expected {
        assert_eq!(found, Some(expected.as_str()), "{docs}");
    }
}

#[test]
fn every_case_means_what_its_file_says() {
    for case in cases::<Case>("errors") {
        let error = from_response(&case.response(), "token request");
        let (docs, context) = (&case.docs, error.context());
        assert_eq!(format!("{:?}", error.kind()), case.kind, "{docs}");
        assert_eq!(context.code, case.code, "{docs}");
        assert_eq!(context.oauth_error, case.oauth_error, "{docs}");
        assert!(error.hint().unwrap().contains(&case.hint), "{docs}: {error}");
        agree(docs, case.message.as_ref(), Some(&context.message));
        agree(docs, case.trace_id.as_ref(), context.trace_id.as_deref());
        agree(docs, case.correlation_id.as_ref(), Some(context.correlation_id.as_str()));
        assert!(!format!("{error} {error:?}").contains("hidden"), "{docs}: {error:?}");
    }
}

#[test]
fn every_row_of_the_tables_has_a_case_and_is_there_once() {
    let cases = cases::<Case>("errors");
    let listed =
        |code: &String| meaning::CODES.iter().any(|row| format!("AADSTS{}", row.0) == *code);
    let codes: BTreeSet<_> = cases.iter().filter_map(|case| case.code.clone()).collect();
    for row in meaning::CODES {
        assert!(codes.contains(&format!("AADSTS{}", row.0)), "{row:?} has no case");
    }
    let by_error = cases.iter().filter(|case| !case.code.as_ref().is_some_and(listed));
    let errors: BTreeSet<_> = by_error.filter_map(|case| case.oauth_error.as_deref()).collect();
    for row in meaning::ERRORS {
        assert!(errors.contains(row.0), "{row:?} has no case");
    }
    let unique: BTreeSet<u32> = meaning::CODES.iter().map(|row| row.0).collect();
    assert_eq!(unique.len(), meaning::CODES.len());
}

#[test]
fn a_declined_sign_in_is_the_persons_decision() {
    let parameters = RedirectParameters::parse(
        b"error=access_denied&error_subcode=cancel&error_description=AADSTS65004%3a+User+declined\
          +to+consent.%0d%0aTrace+ID%3a+t-1%0d%0aCorrelation+ID%3a+c-1&state=s",
    );
    let error = from_redirect(&parameters);
    assert_eq!(error.kind(), &ErrorKind::Denied(keybearer_core::Denial::Person));
    assert_eq!(
        error.message(),
        "the sign-in was refused: AADSTS65004: User declined to consent \
         (correlation id c-1, trace id t-1)"
    );
}

#[test]
fn the_hint_names_the_one_redirect_uri_to_register() {
    let client_id = ClientId::parse("app-1").unwrap();
    for (redirect_uri, registered) in [
        ("http://localhost:8400/", "add http://localhost to "),
        ("http://127.0.0.1:8400/back", "add http://127.0.0.1/back to "),
        (
            "https://login.microsoftonline.com/common/oauth2/nativeclient",
            "add https://login.microsoftonline.com/common/oauth2/nativeclient to ",
        ),
        ("https://app.example:8443/", "add https://app.example:8443/ to "),
    ] {
        let parameters = RedirectParameters::parse(
            b"error=invalid_request&error_description=AADSTS50011:+The+redirect+URI",
        );
        let uri = Url::parse(redirect_uri).unwrap();
        let error = with_redirect_hint(from_redirect(&parameters), &uri, &client_id);
        let hint = error.hint().unwrap();
        assert!(hint.starts_with(registered) && hint.contains("app-1"), "{hint}");
    }
}

#[test]
fn other_errors_keep_their_hint() {
    let error = from_redirect(&RedirectParameters::parse(b"error=access_denied"));
    let uri = Url::parse("http://localhost").unwrap();
    let kept = with_redirect_hint(error.clone(), &uri, &ClientId::parse("a").unwrap());
    assert_eq!(kept.hint(), error.hint());
}
