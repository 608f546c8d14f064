//! Requests to the Windows proxy as files: `{"docs", "reply", "request", "written"}`. The account
//! of `reply` (to `getAccounts`) is the one a request is for.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::path::Path;

use keybearer_core::{
    AccessToken, Authority, Claims, ClientId, ErrorKind, Prompt, ScopeSet, TokenParameters,
};
use keybearer_dbus::message::windows_proxy::{
    ListedAccount, ProxyFault, accounts_request, fault, read_accounts, sign_out_request,
    token_request,
};
use keybearer_testkit::sample;
use serde_json::{Value, json};

fn vectors() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/windows-proxy");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    #[allow(clippy::disallowed_methods, reason = "test data")]
    let vectors: Vec<_> = paths
        .map(|path| {
            let value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            (path.display().to_string(), value)
        })
        .collect();
    assert!(!vectors.is_empty(), "there should be test data");
    vectors
}

fn client_id() -> ClientId {
    ClientId::parse("app").unwrap()
}

fn account(vector: &Value) -> Option<ListedAccount> {
    let reply = vector.get("reply")?;
    read_accounts(&reply.to_string()).unwrap().into_iter().next()
}

fn parameters(request: &Value) -> TokenParameters {
    let text = |key: &str| request[key].as_str();
    TokenParameters {
        authority: Authority::parse(text("authority").unwrap()).unwrap(),
        client_id: client_id(),
        scopes: ScopeSet::parse(&["https://storage.azure.com/.default"]).unwrap(),
        claims: text("claims").and_then(|claims| Claims::parse(claims).unwrap()),
        // Never to be written (promise I5).
        access_token_to_renew: Some(AccessToken::new("refused-token".into())),
        ..sample::parameters()
    }
}

#[test]
fn requests_to_the_windows_proxy_are_written_as_it_wants_them() {
    for (path, vector) in vectors() {
        let (request, account) = (&vector["request"], account(&vector));
        let hint = request["hint"].as_str();
        let prompt = request["prompt"].as_str().map(Prompt::from_parameter);
        let written = match request["method"].as_str().unwrap() {
            "getAccounts" => accounts_request(&client_id()),
            "removeAccount" => sign_out_request(&client_id(), &account.unwrap()),
            "acquireTokenSilently" => {
                token_request(&parameters(request), account.as_ref(), hint, None)
            }
            "acquireTokenInteractively" => {
                let prompt = Some(prompt.unwrap_or_default());
                token_request(&parameters(request), account.as_ref(), hint, prompt)
            }
            other => panic!("{path} names the unknown method {other}"),
        };
        assert_eq!(written, vector["written"].to_string(), "{path}");
        assert!(!written.contains("refused-token") && !written.contains("keybearer"), "{path}");
    }
}

#[test]
fn an_error_beside_accounts_is_one_providers_and_alone_it_is_the_answer() {
    let error = json!({ "context": "other half", "errorCode": 0, "status": 3, "tag": 1 });
    let account = vectors().into_iter().find_map(|(_, vector)| account(&vector)).unwrap();
    let listed = json!({
        "homeAccountId": account.account().home_account_id.as_str(), "environment": "e",
        "realm": account.account().realm.as_str(), "localAccountId": "l", "username": "u",
    });
    let both = json!({ "accounts": [listed, { "username": "half" }, 7], "error": error });
    assert_eq!(read_accounts(&both.to_string()).unwrap().len(), 1);
    let alone = json!({ "accounts": [], "error": error });
    let error = read_accounts(&alone.to_string()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unavailable(_)), "{error}");
    assert!(matches!(
        read_accounts("{\"accounts\":7}").unwrap_err().kind(),
        ErrorKind::Protocol { .. }
    ));
}

#[test]
fn the_numbers_of_an_error_are_found_wherever_it_is() {
    let expected = ProxyFault { tag: 508_371_229, error_code: -895_352_823 };
    for code in [json!(3_399_614_473_i64), json!(-895_352_823), json!("-895352823")] {
        let error = json!({ "errorCode": code, "status": 6, "tag": 508_371_229 });
        for reply in
            [json!({ "error": error }), json!({ "brokerTokenResponse": { "error": error } })]
        {
            assert_eq!(fault(&reply.to_string()), expected, "{reply}");
        }
    }
    for nothing in ["", "{}", "[]", "x"] {
        assert_eq!(fault(nothing), ProxyFault::default());
    }
}
