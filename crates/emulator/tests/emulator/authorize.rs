use serde_json::json;

use crate::support::{FABRIKAM, Lab, NATIVE_ONLY, REDIRECT, SAMPLE};

const NATIVE_CLIENT: &str = "https://login.microsoftonline.com/common/oauth2/nativeclient";

#[tokio::test]
async fn request_that_cannot_be_trusted_ends_on_a_page_and_never_at_the_redirect_uri() {
    let lab = Lab::start();
    let person = lab.person("dev");
    let cases = [
        (
            [("redirect_uri", "https://evil.example/"), ("x", "")],
            "AADSTS50011",
            "https://evil.example/",
        ),
        (
            [("redirect_uri", "http://127.0.0.1:7777"), ("x", "")],
            "AADSTS50011",
            "http://127.0.0.1:7777",
        ),
        ([("redirect_uri", REDIRECT), ("client_id", NATIVE_ONLY)], "AADSTS50011", REDIRECT),
        ([("redirect_uri", ""), ("x", "")], "AADSTS900144", "redirect_uri"),
        (
            [("client_id", "00000000-0000-0000-0000-000000000000"), ("x", "")],
            "AADSTS700016",
            "00000000",
        ),
        ([("tenant", "nowhere.example"), ("x", "")], "AADSTS90002", "nowhere.example"),
    ];
    for (changes, code, named) in cases {
        let landing = person.open(&lab.authorize_url(&changes)).await.unwrap();
        assert_eq!(landing.location, None, "{code}");
        assert!(landing.html.contains(code) && landing.html.contains(named), "{}", landing.html);
    }
}

#[tokio::test]
async fn request_that_is_wrong_in_itself_is_refused_at_the_redirect_uri() {
    let lab = Lab::start();
    let person = lab.person("dev");
    let cases = [
        (("code_challenge", ""), "invalid_request", "AADSTS9002325"),
        (("code_challenge", "short"), "invalid_request", "AADSTS501491"),
        (("code_challenge_method", "plain"), "invalid_request", "AADSTS501491"),
        (("response_type", "token"), "unsupported_response_type", "AADSTS700054"),
        (("response_mode", "web_message"), "invalid_request", "AADSTS90100"),
        (("scope", ""), "invalid_request", "AADSTS900144"),
        (("scope", "https://storage.azure.com/.default User.Read"), "invalid_scope", "AADSTS28000"),
        (("prompt", "please"), "invalid_request", "AADSTS90023"),
        (("claims", "{"), "invalid_request", "AADSTS90100"),
        (("prompt", "none"), "login_required", "AADSTS50058"),
    ];
    for (change, error, code) in cases {
        let landing = person.open(&lab.authorize_url(&[change])).await.unwrap();
        let parameters = landing.parameters();
        assert_eq!(parameters["error"], error, "{change:?}");
        assert!(parameters["error_description"].starts_with(code), "{change:?} {parameters:?}");
        assert_eq!(parameters["state"], "the state");
    }
}

#[tokio::test]
async fn answer_comes_in_the_response_mode_and_at_the_redirect_uri_asked_for() {
    let lab = Lab::start();
    let person = lab.person("dev");
    let msauth = "msauth.com.msauth.unsignedapp://auth";
    let broker = format!("ms-appx-web://Microsoft.AAD.BrokerPlugin/{SAMPLE}");
    let cases = [
        ("query", REDIRECT, format!("{REDIRECT}?code=")),
        ("fragment", REDIRECT, format!("{REDIRECT}#code=")),
        ("", NATIVE_CLIENT, format!("{NATIVE_CLIENT}?code=")),
        ("", msauth, format!("{msauth}?code=")),
        ("", &broker, format!("{broker}?code=")),
    ];
    for (mode, uri, start) in cases {
        let changes = [("client_id", SAMPLE), ("response_mode", mode), ("redirect_uri", uri)];
        let landing = person.visit(&lab.authorize_url(&changes)).await.unwrap();
        assert!(landing.location.as_ref().unwrap().starts_with(&start), "{:?}", landing.location);
        assert_eq!(landing.parameters()["state"], "the state");
    }
    let posted = person
        .visit(&lab.authorize_url(&[("client_id", SAMPLE), ("response_mode", "form_post")]))
        .await
        .unwrap();
    assert_eq!(posted.form().unwrap().target().as_str(), format!("{REDIRECT}/"));
    assert!(posted.parameters().contains_key("code"));
}

#[tokio::test]
async fn session_signs_in_without_a_page_unless_the_prompt_asks_for_one() {
    let lab = Lab::start();
    let person = lab.person("dev");
    let first = person.open(&lab.authorize_url(&[])).await.unwrap();
    assert_eq!(first.title(), "Sign in");
    person.visit(&lab.authorize_url(&[])).await.unwrap();

    let cases = [
        (("prompt", ""), None),
        (("prompt", "none"), None),
        (("prompt", "login"), Some("Sign in")),
        (("prompt", "select_account"), Some("Pick an account")),
        (("prompt", "consent"), Some("Permissions requested")),
        (("login_hint", "dev@contoso.example"), None),
        (("login_hint", "ops@contoso.example"), Some("Enter password")),
        (("login_hint", "unknown@contoso.example"), Some("Sign in")),
        (("domain_hint", "contoso.example"), None),
    ];
    for (change, title) in cases {
        let landing = person.open(&lab.authorize_url(&[change])).await.unwrap();
        match title {
            Some(title) => assert_eq!(landing.title(), title, "{change:?}"),
            None => assert!(landing.parameters().contains_key("code"), "{change:?}"),
        }
    }
    let other = [("login_hint", "ops@contoso.example"), ("prompt", "none")];
    let landing = person.open(&lab.authorize_url(&other)).await.unwrap();
    assert_eq!(
        landing.parameters()["error"],
        "login_required",
        "another account must not stand in"
    );

    person.open(&lab.url("/common/oauth2/v2.0/logout")).await.unwrap();
    let landing = person.open(&lab.authorize_url(&[("prompt", "none")])).await.unwrap();
    assert_eq!(landing.parameters()["error"], "login_required");
}

#[tokio::test]
async fn person_who_declines_is_access_denied() {
    let lab = Lab::start();
    for press in ["cancel", "deny"] {
        let person = lab.person("ops").pressing(&[press]);
        let url = lab.authorize_url(&[("client_id", SAMPLE)]);
        let parameters = person.visit(&url).await.unwrap().parameters();
        assert_eq!(parameters["error"], "access_denied", "{press}");
        assert!(parameters["error_description"].starts_with("AADSTS65004"));
    }
}

#[tokio::test]
async fn wrong_password_and_unknown_account_are_said_on_the_page() {
    let lab = Lab::start();
    let person = lab.person("dev");
    let form = person.open(&lab.authorize_url(&[])).await.unwrap().form().unwrap();
    let landing = person.submit(&form.typing("username", "<b>@x")).await.unwrap();
    assert!(landing.html.contains("AADSTS50034") && landing.html.contains("&lt;b&gt;@x"));

    let landing = person.submit(&landing.form().unwrap()).await.unwrap();
    let form = landing.form().unwrap().typing("password", "wrong");
    let landing = person.submit(&form).await.unwrap();
    assert!(landing.html.contains("AADSTS50126"), "{}", landing.html);
    let landing = person.submit(&landing.form().unwrap()).await.unwrap();
    assert!(landing.parameters().contains_key("code"), "the second try is right");
}

#[tokio::test]
async fn user_who_is_not_a_member_of_the_tenant_is_told_so() {
    let lab = Lab::start();
    let person = lab.person("dev");
    let url = lab.authorize_url(&[("tenant", FABRIKAM)]);
    let landing = person.clone().pressing(&["cancel"]).visit(&url).await.unwrap();
    assert_eq!(landing.parameters()["error"], "access_denied");
    let form = person
        .open(&lab.authorize_url(&[("tenant", FABRIKAM), ("login_hint", "dev@contoso.example")]))
        .await
        .unwrap()
        .form();
    let landing = person.submit(&form.unwrap()).await.unwrap();
    assert!(landing.html.contains("AADSTS50020"), "{}", landing.html);
}

#[tokio::test]
async fn approval_is_asked_for_where_a_policy_wants_it_and_once_per_session() {
    let lab = Lab::start();
    lab.control("policies", json!({"resource": "https://storage.azure.com", "require": "mfa"}))
        .await;
    let person = lab.person("dev");
    let denied = person
        .clone()
        .pressing(&["disapprove"])
        .visit(&lab.authorize_url(&[]))
        .await
        .unwrap()
        .parameters();
    assert!(denied["error_description"].starts_with("AADSTS500121"));
    let silent = person.open(&lab.authorize_url(&[("prompt", "none")])).await.unwrap().parameters();
    assert_eq!(silent["error"], "interaction_required");
    assert!(silent["claims"].contains("capolids"));
    assert!(person.visit(&lab.authorize_url(&[])).await.unwrap().parameters().contains_key("code"));
    let again = person.open(&lab.authorize_url(&[("prompt", "none")])).await.unwrap();
    assert!(again.parameters().contains_key("code"));
}
