//! Every `testdata/pages/*.html` is a page; the `.toml` beside it says what a person does there.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Cases {
    url: String,
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    docs: String,
    #[serde(default)]
    intent: String,
    user: Option<String>,
    password: Option<String>,
    #[serde(default)]
    presses: Vec<String>,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Expect {
    Done(String),
    Error(String),
    Get(String),
    Post {
        url: String,
        fields: BTreeMap<String, String>,
        #[serde(default)]
        has_password: bool,
    },
}

#[test]
fn every_page_leads_where_its_case_says() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/pages");
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let pages: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|ending| ending == "html")).collect();
    assert!(!pages.is_empty());
    for path in pages {
        let html = std::fs::read_to_string(&path).unwrap();
        let cases = std::fs::read_to_string(path.with_extension("toml")).unwrap();
        let cases: Cases =
            toml::from_str(&cases).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let url: Url = cases.url.parse().unwrap();
        for case in cases.case {
            check(&Page::read(&html, &url), &case, &format!("{}: {}", path.display(), case.docs));
        }
    }
}

fn check(page: &Page, case: &Case, name: &str) {
    let intent = match case.intent.as_str() {
        "" => Intent::SignIn,
        "deny" => Intent::Deny,
        "abandon" => Intent::Abandon,
        other => panic!("{name}: no intent {other}"),
    };
    let (user, password) = (case.user.clone(), case.password.clone());
    let conduct = Conduct { user, password, intent, presses: case.presses.clone() };
    match (page.next(&conduct), &case.expect) {
        (Ok(Action::Done), Expect::Done(message)) => assert_eq!(page.message(), message, "{name}"),
        (Err(error), Expect::Error(part)) => {
            assert!(format!("{error}").contains(part), "{name}: {error}")
        }
        (Ok(Action::Send { request, has_password: false }), Expect::Get(url)) => {
            assert_eq!(
                (request.method, request.url.as_str()),
                (Method::Get, url.as_str()),
                "{name}"
            );
        }
        (
            Ok(Action::Send { request, has_password }),
            Expect::Post { url, fields, has_password: expected },
        ) => {
            assert_eq!(
                (request.method, request.url.as_str()),
                (Method::Post, url.as_str()),
                "{name}"
            );
            assert_eq!(&request.fields.into_iter().collect::<BTreeMap<_, _>>(), fields, "{name}");
            assert_eq!(has_password, *expected, "{name}");
        }
        (Ok(Action::Send { request, .. }), _) => {
            panic!("{name}: sent {:?} {}", request.method, request.url)
        }
        (Ok(Action::Done), _) => panic!("{name}: nothing was done"),
        (Err(error), _) => panic!("{name}: {error}"),
    }
}

#[test]
fn a_redirect_after_a_form_forgets_its_fields() {
    let url: Url = "https://login.example/".parse().unwrap();
    let fields = vec![("password".to_owned(), "secret".to_owned())];
    let posted = Request { method: Method::Post, url: url.clone(), fields };
    assert!(posted.clone().redirected(302, url.clone()) == Request::get(url.clone()));
    assert!(posted.clone().redirected(307, url) == posted);
}
