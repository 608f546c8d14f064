//! Messages as files: each is read, compared with what it means, and, where it is one that we
//! write, written again byte for byte. Drop a file in and it is a test.
//!
//! A file is `{"docs", "method", "correlationId", "message" | "text", "meaning" | "error",
//! "written"}`; `written` says that we write it like this.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "these are tests")]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Instant;

use keybearer_core::{
    AccessToken, Account, AccountChoice, AccountsRequest, CorrelationId, Error, HttpRequestToSign,
    ProofOfPossession, RemoveAccountRequest, Result, SignHttpRequest, SilentRequest,
    SsoCookieRequest, Token, TokenParameters,
};
use keybearer_dbus::message::{
    AcquirePrtSsoCookie, AcquireTokenInteractively, AcquireTokenSilently, Call,
    CancelInteractiveFlow, GenerateSignedHttpRequest, GetAccounts, GetLinuxBrokerVersion, Method,
    RemoveAccount, TokenEcho,
};
use keybearer_testkit::sample;
use serde_json::{Value, json};

/// When every message is read and written, so that limits come out as they went in.
static NOW: LazyLock<Instant> = LazyLock::new(|| tokio::time::Instant::now().into_std());

/// Reads a message: what it means, and how we would write that.
type Reader = fn(&str, &Vector) -> Result<(Value, String)>;

struct Vector(Value);

impl Vector {
    fn text(&self) -> String {
        match self.0["text"].as_str() {
            Some(text) => text.to_owned(),
            None => self.0["message"].to_string(),
        }
    }

    fn call(&self) -> Call {
        let correlation_id = self.0["correlationId"].as_str().unwrap_or_default();
        Call {
            correlation_id: CorrelationId::new(correlation_id),
            received: *NOW,
            caller: sample::caller("c"),
            callback: None,
        }
    }

    fn scopes(&self) -> Vec<String> {
        let scopes = self.0["requestedScopes"].as_array().cloned().unwrap_or_default();
        scopes.iter().map(|scope| scope.as_str().unwrap().to_owned()).collect()
    }

    fn check(&self, name: &Path, read: Reader) {
        let name = name.display();
        let text = self.text();
        match read(&text, self) {
            Ok((meaning, written)) => {
                assert_eq!(meaning, self.0["meaning"], "the meaning of {name}");
                if self.0["written"] == true {
                    assert_eq!(written, text, "{name} as we write it");
                }
            }
            Err(error) => assert_eq!(described(&error), self.0["error"], "the error of {name}"),
        }
    }
}

fn vectors(folder: &str) -> Vec<(PathBuf, Vector)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(folder);
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    #[allow(clippy::disallowed_methods, reason = "test data")]
    let vectors: Vec<(PathBuf, Vector)> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let value = serde_json::from_slice(&std::fs::read(&path).unwrap());
            (path.clone(), Vector(value.unwrap_or_else(|error| panic!("{path:?}: {error}"))))
        })
        .collect();
    assert!(!vectors.is_empty(), "there should be test data");
    vectors
}

fn reader(table: &[(&str, Reader)], vector: &Vector, path: &Path) -> Reader {
    let method = vector.0["method"].as_str().unwrap();
    let entry = table.iter().find(|(name, _)| *name == method);
    entry.unwrap_or_else(|| panic!("{path:?} names the unknown method {method}")).1
}

const REQUESTS: [(&str, Reader); 8] = [
    (AcquireTokenSilently::NAME, |json, vector| {
        let (request, echo) = AcquireTokenSilently::decode_request(json, &vector.call())?;
        let written = AcquireTokenSilently::encode_request(&request, *NOW);
        Ok((token_request(&request.parameters, &echo.requested_scopes), written))
    }),
    (AcquireTokenInteractively::NAME, |json, vector| {
        let call = vector.call();
        let (request, echo) = AcquireTokenInteractively::decode_request(json, &call)?;
        let mut meaning = token_request(&request.parameters, &echo.requested_scopes);
        meaning["prompt"] = json!(request.prompt.as_parameter());
        Ok((meaning, AcquireTokenInteractively::encode_request(&request, *NOW)))
    }),
    (GetAccounts::NAME, |json, vector| {
        let (request, ()) = GetAccounts::decode_request(json, &vector.call())?;
        let meaning = json!({
            "clientId": request.client_id.as_ref().map(|id| id.as_str()),
            "timeoutMs": request.deadline.left(*NOW).as_millis() as u64,
        });
        Ok((meaning, GetAccounts::encode_request(&request, *NOW)))
    }),
    (RemoveAccount::NAME, |json, vector| {
        let (request, ()) = RemoveAccount::decode_request(json, &vector.call())?;
        let meaning = json!({
            "homeAccountId": request.home_account_id.as_str(),
            "timeoutMs": request.deadline.left(*NOW).as_millis() as u64,
        });
        Ok((meaning, RemoveAccount::encode_request(&request, *NOW)))
    }),
    (AcquirePrtSsoCookie::NAME, |json, vector| {
        let (request, ()) = AcquirePrtSsoCookie::decode_request(json, &vector.call())?;
        let meaning = json!({
            "account": choice(&request.account),
            "ssoUrl": request.sso_url.as_ref().map(|url| url.as_str()),
            "timeoutMs": request.deadline.left(*NOW).as_millis() as u64,
        });
        Ok((meaning, AcquirePrtSsoCookie::encode_request(&request, *NOW)))
    }),
    (GenerateSignedHttpRequest::NAME, |json, vector| {
        let (request, ()) = GenerateSignedHttpRequest::decode_request(json, &vector.call())?;
        let meaning = json!({
            "account": choice(&request.account),
            "clientId": request.client_id.as_ref().map(|id| id.as_str()),
            "host": request.http.host, "method": request.http.method, "nonce": request.http.nonce,
            "path": request.http.path,
            "timeoutMs": request.deadline.left(*NOW).as_millis() as u64,
        });
        Ok((meaning, GenerateSignedHttpRequest::encode_request(&request, *NOW)))
    }),
    (CancelInteractiveFlow::NAME, |json, vector| {
        let (cancellation, ()) = CancelInteractiveFlow::decode_request(json, &vector.call())?;
        let meaning = json!(format!("{cancellation:?}"));
        Ok((meaning, CancelInteractiveFlow::encode_request(&cancellation, *NOW)))
    }),
    (GetLinuxBrokerVersion::NAME, |json, vector| {
        let ((), ()) = GetLinuxBrokerVersion::decode_request(json, &vector.call())?;
        Ok((Value::Null, GetLinuxBrokerVersion::encode_request(&(), *NOW)))
    }),
];

#[test]
fn requests_of_known_clients_are_understood() {
    for (path, vector) in vectors("requests") {
        vector.check(&path, reader(&REQUESTS, &vector, &path));
    }
}

const REPLIES: [(&str, Reader); 6] = [
    (GenerateSignedHttpRequest::NAME, |json, _| {
        let signed = GenerateSignedHttpRequest::decode_reply(json, &sign_request())?;
        let written = GenerateSignedHttpRequest::encode_reply(&signed, &());
        Ok((json!(signed.expose()), written))
    }),
    (RemoveAccount::NAME, |json, _| {
        RemoveAccount::decode_reply(json, &remove_request())?;
        Ok((Value::Null, RemoveAccount::encode_reply(&(), &())))
    }),
    (AcquireTokenSilently::NAME, |json, vector| {
        let request = SilentRequest { parameters: sample::parameters() };
        let token = AcquireTokenSilently::decode_reply(json, &request)?;
        let written = AcquireTokenSilently::encode_reply(&token, &TokenEcho::new(vector.scopes()));
        Ok((token_meaning(&token), written))
    }),
    (GetAccounts::NAME, |json, _| {
        let accounts = GetAccounts::decode_reply(json, &accounts_request())?;
        let meaning = accounts.iter().map(account_meaning).collect();
        Ok((Value::Array(meaning), GetAccounts::encode_reply(&accounts, &())))
    }),
    (AcquirePrtSsoCookie::NAME, |json, _| {
        let cookie = AcquirePrtSsoCookie::decode_reply(json, &cookie_request())?;
        let meaning = json!({
            "account": account_meaning(&cookie.account),
            "content": cookie.content.expose(),
            "name": cookie.name,
        });
        Ok((meaning, AcquirePrtSsoCookie::encode_reply(&cookie, &())))
    }),
    (GetLinuxBrokerVersion::NAME, |json, _| {
        let version = GetLinuxBrokerVersion::decode_reply(json, &())?;
        let meaning = json!([version.linux_broker, version.keybearer]);
        Ok((meaning, GetLinuxBrokerVersion::encode_reply(&version, &())))
    }),
];

#[test]
fn replies_of_known_brokers_are_understood() {
    for (path, vector) in vectors("replies") {
        vector.check(&path, reader(&REPLIES, &vector, &path));
    }
}

/// Wherever in the reply the error is.
#[test]
fn errors_of_known_brokers_are_understood() {
    let request = SilentRequest { parameters: sample::parameters() };
    for (path, vector) in vectors("errors") {
        let name = path.display();
        let error = &vector.0["message"];
        let inside = json!({ "brokerTokenResponse": { "error": error } }).to_string();
        for reply in [&inside, &json!({ "error": error }).to_string()] {
            let error = AcquireTokenSilently::decode_reply(reply, &request).unwrap_err();
            assert_eq!(described(&error), vector.0["error"], "the meaning of {name}");
            if vector.0["written"] == true {
                let written = AcquireTokenSilently::encode_error(&error);
                assert_eq!(written, inside, "{name} as we write it");
            }
        }
    }
}

fn proof_of_possession(proof: &ProofOfPossession) -> Value {
    match proof {
        ProofOfPossession::BoundTo { key_id } => json!({ "keyId": key_id }),
        ProofOfPossession::Signed(http) => json!({
            "clientClaims": http.client_claims, "host": http.host, "method": http.method,
            "nonce": http.nonce, "path": http.path,
        }),
    }
}

fn token_request(parameters: &TokenParameters, scopes: &[String]) -> Value {
    let mut meaning = json!({
        "account": choice(&parameters.account),
        "accessTokenToRenew": parameters.access_token_to_renew.as_ref().map(AccessToken::expose),
        "authority": parameters.authority.to_string(),
        "capabilities": parameters.capabilities.iter().collect::<Vec<_>>(),
        "claims": parameters.claims.as_ref().map(|claims| claims.as_str()),
        "clientId": parameters.client_id.as_str(),
        "correlationId": parameters.correlation_id.as_str(),
        "extraQuery": parameters.extra_query,
        "redirectUri": parameters.redirect_uri.as_ref().map(|uri| uri.as_str()),
        "requestedScopes": scopes,
        "scopes": parameters.scopes.to_string(),
        "timeoutMs": parameters.deadline.left(*NOW).as_millis() as u64,
    });
    if let Some(proof) = &parameters.proof_of_possession {
        meaning["proofOfPossession"] = proof_of_possession(proof);
    }
    meaning
}

fn choice(account: &AccountChoice) -> Value {
    match account {
        AccountChoice::Only => json!("only"),
        AccountChoice::Default => json!("default"),
        AccountChoice::LoginHint(username) => json!({ "hint": username }),
        AccountChoice::Exact(id) => json!({ "exact": id.as_str() }),
    }
}

fn token_meaning(token: &Token) -> Value {
    json!({
        "accessToken": token.access_token.expose(),
        "account": account_meaning(&token.account),
        "expiresOnMs": token.expires_on.unix_millis(),
        "grantedScopes": token.granted_scopes.to_string(),
        "idToken": token.id_token.as_ref().map(|token| token.expose()),
        "refreshOnMs": token.refresh_on.map(|moment| moment.unix_millis()),
        "source": token.source.as_str(),
        "tokenType": format!("{:?}", token.token_type),
    })
}

fn account_meaning(account: &Account) -> Value {
    json!([
        account.home_account_id.as_str(),
        account.environment,
        account.realm.as_str(),
        account.local_account_id,
        account.username,
        account.name,
    ])
}

fn described(error: &Error) -> Value {
    json!({
        "kind": format!("{:?}", error.kind()),
        "message": error.context().message,
        "code": error.context().code,
        "hint": error.context().hint,
    })
}

fn accounts_request() -> AccountsRequest {
    let parameters = sample::parameters();
    let correlation_id = parameters.correlation_id;
    AccountsRequest { client_id: None, correlation_id, deadline: parameters.deadline }
}

fn cookie_request() -> SsoCookieRequest {
    let TokenParameters { correlation_id, deadline, .. } = sample::parameters();
    let account = AccountChoice::Exact(sample::account().home_account_id);
    SsoCookieRequest { account, sso_url: None, correlation_id, deadline }
}

fn sign_request() -> SignHttpRequest {
    let TokenParameters { correlation_id, deadline, .. } = sample::parameters();
    SignHttpRequest {
        client_id: None,
        account: AccountChoice::Only,
        http: HttpRequestToSign {
            method: Some("GET".into()),
            host: Some("graph.microsoft.com".into()),
            path: Some("/".into()),
            ..Default::default()
        },
        correlation_id,
        deadline,
    }
}

fn remove_request() -> RemoveAccountRequest {
    let TokenParameters { correlation_id, deadline, .. } = sample::parameters();
    let home_account_id = sample::account().home_account_id;
    RemoveAccountRequest { home_account_id, correlation_id, deadline }
}
