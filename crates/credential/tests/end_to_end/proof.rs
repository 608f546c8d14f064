//! A client of the SDK whose requests are signed, against the emulator's strict resource.

use azure_core::http::{ClientOptions, Context, Method, Pipeline, Request, Url};
use keybearer::proof_of_possession_policy;

use crate::emulated_machine::{EmulatedMachine, STORAGE};

#[tokio::test]
async fn client_with_our_policy_signs_each_request_and_takes_the_nonce_it_is_given() {
    let machine = EmulatedMachine::start().await;
    let policy = proof_of_possession_policy(machine.credential(machine.options()), [STORAGE]);
    let options = ClientOptions { per_try_policies: vec![policy], ..machine.client_options() };
    let pipeline = Pipeline::new(Some("test"), Some("1"), options, vec![], vec![], None);
    let endpoint = Url::parse(&machine.laboratory.ready().blob_endpoint).unwrap();
    let cases = [
        ("/pop/items?top=1&filter=a%20b", Method::Get),
        // The same request again has another signature.
        ("/pop/items?top=1&filter=a%20b", Method::Get),
        ("/pop/items", Method::Delete),
        ("/pop/nonce/items", Method::Get),
        ("/pop/nonce/items", Method::Put),
    ];
    for (path, method) in cases {
        let mut request = Request::new(endpoint.join(path).unwrap(), method);
        request.insert_header("content-length", "0");
        let reply = pipeline.send(&Context::new(), &mut request, None).await.unwrap();
        assert!(reply.status().is_success(), "{method} {path}: {}", reply.status());
    }
    let outcomes = machine.outcomes_below("/pop").await;
    let without_nonce = ["served", "served", "served"];
    let with_nonce = ["nonce of the resource", "served", "nonce of the resource", "served"];
    assert_eq!(outcomes, [&without_nonce[..], &with_nonce].concat());
}

#[tokio::test]
async fn signed_request_is_not_sent_in_the_clear() {
    let machine = EmulatedMachine::start().await;
    let policy = proof_of_possession_policy(machine.credential(machine.options()), [STORAGE]);
    let options = ClientOptions { per_try_policies: vec![policy], ..machine.client_options() };
    let pipeline = Pipeline::new(Some("test"), Some("1"), options, vec![], vec![], None);
    let mut request = Request::new(Url::parse("http://localhost:1/pop").unwrap(), Method::Get);
    let error = pipeline.send(&Context::new(), &mut request, None).await.unwrap_err();
    assert!(format!("{error:?}").contains("does not use TLS"), "{error:?}");
    assert_eq!(
        machine.laboratory.client().requests().await.unwrap(),
        Vec::<serde_json::Value>::new()
    );
}
