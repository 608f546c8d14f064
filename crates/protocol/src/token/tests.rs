use keybearer_core::{Authority, ErrorKind};

use super::*;
use crate::testdata::metadata;

fn sent(grant: Grant<'_>, extra: &BTreeMap<String, String>) -> Result<http::Request<Body>> {
    TokenRequest {
        metadata: &metadata(&Authority::parse("https://localhost:8443/common").unwrap()),
        client_id: &ClientId::parse("app-1").unwrap(),
        grant,
        scopes: &ScopeSet::parse(&["User.Read"]).unwrap(),
        claims: None,
        account: Some(&HomeAccountId::parse("oid.tid").unwrap()),
        extra,
        correlation_id: &CorrelationId::new("id-1"),
    }
    .http()
}

#[test]
fn a_code_is_redeemed_with_its_verifier_and_redirect_uri() {
    let grant = Grant::AuthorizationCode {
        code: &AuthorizationCode::new("c/1".into()),
        redirect_uri: &Url::parse("http://localhost:4711/").unwrap(),
        verifier: &CodeVerifier::new("v-1".into()),
    };
    let request = sent(grant, &BTreeMap::new()).unwrap();
    assert_eq!(request.uri(), "https://localhost:8443/common/oauth2/v2.0/token");
    assert_eq!(
        std::str::from_utf8(request.body().expose()).unwrap(),
        "client_id=app-1&grant_type=authorization_code&code=c%2F1\
         &redirect_uri=http%3A%2F%2Flocalhost%3A4711&code_verifier=v-1\
         &scope=User.Read+openid+profile+offline_access&client_info=1"
    );
}

#[test]
fn a_refresh_token_is_redeemed_with_the_headers_entra_expects() {
    let token = RefreshToken::new("r-1".into());
    let extra = BTreeMap::from([("token_type".into(), "pop".into())]);
    let request = sent(Grant::RefreshToken(&token), &extra).unwrap();
    assert_eq!(
        request.body().expose(),
        b"client_id=app-1&grant_type=refresh_token&refresh_token=r-1\
          &scope=User.Read+openid+profile+offline_access&client_info=1&token_type=pop"
    );
    assert_eq!(request.method(), http::Method::POST);
    for (name, value) in [
        ("content-type", "application/x-www-form-urlencoded"),
        ("accept", "application/json"),
        ("client-request-id", "id-1"),
        ("return-client-request-id", "true"),
        ("x-client-sku", "keybearer"),
        ("x-client-ver", env!("CARGO_PKG_VERSION")),
        ("x-anchormailbox", "Oid:oid@tid"),
    ] {
        assert_eq!(request.headers()[name], value);
    }
}

#[test]
fn extra_parameters_cannot_replace_the_grant() {
    let token = RefreshToken::new("r-1".into());
    for name in ["refresh_token", "grant_type", "client_secret", "scope"] {
        let extra = BTreeMap::from([(name.to_owned(), "x".to_owned())]);
        assert!(sent(Grant::RefreshToken(&token), &extra).is_err(), "{name}");
    }
}

fn received(body: &str) -> Result<TokenResponse> {
    let response = http::Response::builder()
        .header("date", "Fri, 20 Nov 2026 10:00:00 GMT")
        .body(Body::new(body.as_bytes().to_vec()));
    parse(&response.unwrap())
}

#[test]
fn a_whole_answer_is_read() {
    let tokens = received(
        r#"{"token_type":"Bearer","scope":"User.Read openid","expires_in":3599,
            "ext_expires_in":"7199","refresh_in":1800,"access_token":"a-secret",
            "refresh_token":"r-secret","id_token":"i-secret","foci":"1",
            "client_info":"eyJ1aWQiOiJPSUQiLCJ1dGlkIjoiVElEIn0"}"#,
    )
    .unwrap();
    assert_eq!(tokens.access_token.expose(), "a-secret");
    assert_eq!(tokens.refresh_token.as_ref().unwrap().expose(), "r-secret");
    assert_eq!(tokens.id_token.as_ref().unwrap().expose(), "i-secret");
    assert_eq!(tokens.token_type, TokenType::Bearer);
    assert_eq!(tokens.expires_in, Duration::from_secs(3599));
    assert_eq!(tokens.ext_expires_in, Some(Duration::from_secs(7199)));
    assert_eq!(tokens.refresh_in, Some(Duration::from_secs(1800)));
    assert_eq!(tokens.granted, ["User.Read", "openid"]);
    assert_eq!(tokens.family.as_deref(), Some("1"));
    assert_eq!(tokens.client_info.as_ref().unwrap().uid, "OID");
    assert_eq!(tokens.date, Some(Timestamp::from_unix_seconds(1_795_168_800)));
    assert!(!format!("{tokens:?}").contains("secret"));
}

#[test]
fn what_a_server_may_leave_out_has_a_default() {
    let tokens = received(r#"{"token_type":"PoP","access_token":"a"}"#).unwrap();
    assert_eq!(tokens.token_type, TokenType::ProofOfPossession);
    assert_eq!(tokens.expires_in, Duration::from_secs(3600));
    assert!(tokens.granted.is_empty());
    assert!(tokens.refresh_token.is_none() && tokens.id_token.is_none());
}

#[test]
fn an_answer_that_lacks_something_is_refused_without_being_quoted() {
    for (body, named) in [
        (r#"{"token_type":"Bearer","refresh_token":"secret"}"#, "access_token"),
        (r#"{"token_type":"Bearer","access_token":""}"#, "empty"),
        (r#"{"access_token":"secret"}"#, "token_type"),
        (r#"{"access_token":"secret","token_type":"secret"}"#, "token_type"),
        (r#"{"access_token":"secret","token_type":"Bearer","expires_in":"secret"}"#, "seconds"),
        (r#"{"access_token":"secret","token_type":"Bearer","expires_in":-1}"#, "JSON"),
        (r#"{"access_token":["secret"],"token_type":"Bearer"}"#, "JSON"),
        (r#"{"access_token":"secret","access_token":"secret"}"#, "JSON"),
        (r#"{"access_token":"a","token_type":"Bearer","client_info":"secret"}"#, "client_info"),
        ("secret", "JSON"),
    ] {
        let error = received(body).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Protocol { .. }), "{body}");
        assert!(error.message().contains(named), "{body}: {error}");
        assert!(!format!("{error:?}").contains("secret"), "{body}: {error:?}");
    }
}
