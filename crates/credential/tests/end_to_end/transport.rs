//! An HTTP client and a sign-in interface that the program brings.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use azure_core::http::headers::Headers;
use azure_core::http::{AsyncRawResponse, HttpClient, Method, Request, StatusCode};
use keybearer::{
    AcquireOptions, BrokerChoice, InteractiveBrowserBrokerCredential,
    InteractiveBrowserBrokerCredentialOptions as Options, TokenSource,
};
use keybearer_testkit::emulated;

use crate::emulated_machine::{EmulatedMachine, STORAGE};

/// Answers everything in the same way and remembers what it was asked.
#[derive(Debug)]
struct Scripted {
    answer: Answer,
    asked: Mutex<Vec<(Method, String)>>,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Body(&'static str),
    TooLong,
    Unreachable,
    Broken,
}

#[async_trait]
impl HttpClient for Scripted {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        self.asked.lock().unwrap().push((request.method(), request.url().to_string()));
        let failed = |kind| Err(azure_core::Error::with_message(kind, "no"));
        let body = match self.answer {
            Answer::Body(body) => body.to_owned(),
            Answer::TooLong => " ".repeat(1024 * 1024 + 1),
            Answer::Unreachable => return failed(azure_core::error::ErrorKind::Connection),
            Answer::Broken => return failed(azure_core::error::ErrorKind::Io),
        };
        Ok(AsyncRawResponse::from_bytes(StatusCode::Ok, Headers::new(), body))
    }
}

#[tokio::test]
async fn requests_of_this_process_go_through_the_client_that_the_program_brings() {
    let unknown = r#"{"error":"invalid_instance","error_description":"AADSTS50049: unknown"}"#;
    let (public, private) =
        ("https://login.microsoftonline.com/", "https://login.private.example/");
    let cases = [
        (false, Answer::Body(unknown), "invalid_request", public),
        (true, Answer::Body("{}"), "protocol", private),
        (true, Answer::TooLong, "protocol", private),
        (true, Answer::Unreachable, "unavailable", private),
        (true, Answer::Broken, "transient", private),
    ];
    for (disable_instance_discovery, answer, expected, place) in cases {
        let client = Arc::new(Scripted { answer, asked: Mutex::default() });
        let options = Options {
            authority: Some("https://login.private.example".into()),
            disable_instance_discovery,
            broker: BrokerChoice::Never,
            http_client: Some(client.clone()),
            ..Options::default()
        };
        let credential = InteractiveBrowserBrokerCredential::new(Some(options)).unwrap();
        let error = credential.acquire(&[STORAGE], None).await.unwrap_err();
        assert_eq!(error.kind().name(), expected, "{error}");
        let asked = client.asked.lock().unwrap();
        let (method, url) = asked.first().expect("a request");
        assert_eq!(*method, Method::Get);
        assert!(url.starts_with(place), "{url}");
    }
}

#[tokio::test]
async fn without_a_broker_this_process_signs_in_with_what_the_program_brings() {
    let machine = EmulatedMachine::start().await;
    let person = machine.laboratory.person("dev").unwrap();
    let options = Options {
        broker: BrokerChoice::Never,
        disable_instance_discovery: true,
        http_client: Some(Arc::new(machine.laboratory.client().http().clone())),
        sign_in_ui: Some(emulated::sign_in_ui(person)),
        ..machine.options()
    };
    let credential = InteractiveBrowserBrokerCredential::new(Some(options)).unwrap();
    let token = credential.acquire(&[STORAGE], None).await.unwrap();
    assert_eq!(token.source, TokenSource::SignIn);
    assert_eq!(token.account.username, "dev@contoso.example");
    let again = AcquireOptions { enable_cae: true, ..AcquireOptions::default() };
    let token = credential.acquire(&[STORAGE], Some(again)).await.unwrap();
    assert_eq!(token.source, TokenSource::Refresh);
}
