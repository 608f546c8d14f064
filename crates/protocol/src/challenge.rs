//! Challenges of a resource in `WWW-Authenticate`: [RFC 9110](https://www.rfc-editor.org/rfc/rfc9110)
//! §11.6.1 and [RFC 6750](https://www.rfc-editor.org/rfc/rfc6750) §3.

use keybearer_core::{Claims, Tenant, TenantId};
use url::Url;

use crate::encoding::decode;

/// The claims that a resource demands with `error="insufficient_claims"` in a `Bearer` challenge.
/// `None` for any other header, malformed ones included.
#[must_use]
pub fn claims(header: &str) -> Option<Claims> {
    challenges(header).iter().find_map(Challenge::claims)
}

/// The directory that a resource trusts, if a `Bearer` challenge names one in `authorization_uri`.
/// `common`, `organizations` and `consumers` do not count.
#[must_use]
pub fn directory(header: &str) -> Option<TenantId> {
    challenges(header).iter().find_map(Challenge::directory)
}

/// The nonce that a resource requires in a signed HTTP request, if a `PoP` challenge names one.
#[must_use]
pub fn nonce(header: &str) -> Option<String> {
    let found = challenges(header);
    let mut offered = found.iter().filter(|challenge| challenge.scheme.eq_ignore_ascii_case("pop"));
    offered.find_map(|challenge| challenge.parameter("nonce").map(str::to_owned))
}

#[derive(Debug, PartialEq)]
struct Challenge<'a> {
    scheme: &'a str,
    parameters: Vec<(&'a str, String)>,
}

impl Challenge<'_> {
    fn claims(&self) -> Option<Claims> {
        let demands = self.scheme.eq_ignore_ascii_case("bearer")
            && self.parameter("error") == Some("insufficient_claims");
        let encoded = self.parameter("claims").filter(|_| demands)?;
        Claims::parse(std::str::from_utf8(&decode(encoded)?).ok()?).ok()?
    }

    fn directory(&self) -> Option<TenantId> {
        let uri = self.parameter("authorization_uri")?;
        let named = self.scheme.eq_ignore_ascii_case("bearer").then(|| Url::parse(uri).ok())??;
        match Tenant::parse(named.path_segments()?.next()?).ok()? {
            Tenant::Id(directory) => Some(directory),
            Tenant::Common | Tenant::Organizations | Tenant::Consumers => None,
        }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        let named = |(own, _): &&(&str, String)| own.eq_ignore_ascii_case(name);
        self.parameters.iter().find(named).map(|(_, value)| value.as_str())
    }
}

/// Parses all challenges of a header. Commas separate challenges as well as their parameters; only
/// parameters have an equals sign (RFC 9110 §11.6.1).
fn challenges(header: &str) -> Vec<Challenge<'_>> {
    let mut found: Vec<Challenge<'_>> = Vec::new();
    let mut rest = header;
    while !rest.is_empty() {
        let separator = span(&mut rest, |c| c == ',' || c.is_whitespace());
        let word = span(&mut rest, |c| !matches!(c, ',' | '=' | '"') && !c.is_whitespace());
        span(&mut rest, char::is_whitespace);
        if let Some(after) = rest.strip_prefix('=') {
            rest = after;
            let value = value(&mut rest);
            if let Some(challenge) = found.last_mut() {
                challenge.parameters.push((word, value));
            }
        } else if word.is_empty() {
            value(&mut rest);
        } else if found.is_empty() || separator.contains(',') {
            found.push(Challenge { scheme: word, parameters: Vec::new() });
        }
    }
    found
}

/// Takes a token or a quoted string from the front, RFC 9110 §5.6.
fn value(rest: &mut &str) -> String {
    span(rest, char::is_whitespace);
    let Some(quoted) = rest.strip_prefix('"') else {
        return span(rest, |c| c != ',' && !c.is_whitespace()).to_owned();
    };
    let mut text = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next() {
            Some('\\') => text.extend(characters.next()),
            Some('"') | None => break,
            Some(character) => text.push(character),
        }
    }
    *rest = characters.as_str();
    text
}

/// Takes the characters that satisfy `belongs` from the front.
fn span<'a>(rest: &mut &'a str, belongs: impl Fn(char) -> bool) -> &'a str {
    let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
    let (front, back) = rest.split_at(end);
    *rest = back;
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"access_token":{"nbf":{"essential":true, "value":"1604106651"}}}`
    const ENCODED: &str =
        "eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwgInZhbHVlIjoiMTYwNDEwNjY1MSJ9fX0=";

    #[test]
    fn a_claims_challenge_is_found_wherever_it_stands() {
        let bearer = format!(r#"error="insufficient_claims", claims="{ENCODED}""#);
        for header in [
            format!("Bearer {bearer}"),
            format!(r#"Bearer realm="", authorization_uri="https://l.example/a,b=c", {bearer}"#),
            format!(
                r#"Basic realm="a \" b", Negotiate abc==, bEARER realm=x , {bearer}, PoP n="1""#
            ),
            format!("Bearer CLAIMS = {ENCODED},error=insufficient_claims"),
            format!("Bearer error=insufficient_claims, claims={}", ENCODED.trim_end_matches('=')),
            format!(r#"NTLM TlRMTVNT, Bearer {bearer}, Bearer error="invalid_token""#),
        ] {
            let claims = claims(&header).unwrap_or_else(|| panic!("{header}"));
            assert!(claims.as_str().contains("1604106651"), "{header}");
        }
    }

    #[test]
    fn no_other_challenge_is_a_demand() {
        for header in [
            String::new(),
            "Bearer".into(),
            format!(r#"Bearer claims="{ENCODED}""#),
            format!(r#"Bearer error="invalid_token", claims="{ENCODED}""#),
            format!(r#"PoP error="insufficient_claims", claims="{ENCODED}""#),
            format!(r#"Basic Bearer error="insufficient_claims", claims="{ENCODED}""#),
            r#"Bearer error="insufficient_claims", claims="%%%""#.into(),
            r#"Bearer error="insufficient_claims", claims="bm90IGpzb24=""#.into(),
        ] {
            assert_eq!(claims(&header), None, "{header}");
        }
    }

    #[test]
    fn a_directory_is_what_the_authorization_uri_begins_with_unless_it_is_everybodys() {
        let id = "7c1a5b0e-2222-4222-8222-222222222222";
        let cases = [
            // As Azure Storage writes it: spaces, no quotes.
            (
                format!(
                    "Bearer authorization_uri=https://login.example/{id}/oauth2/authorize \
                         resource_id=https://storage.azure.com"
                ),
                Some(id),
            ),
            (
                format!(
                    "Bearer realm=\"\", authorization_uri=\"https://login.example/{id}/oauth2/\
                         authorize\", error=\"insufficient_claims\", claims=\"{ENCODED}\""
                ),
                Some(id),
            ),
            (
                "Bearer authorization_uri=\"https://l.example/contoso.example\"".into(),
                Some("contoso.example"),
            ),
            // As Microsoft documents it, and as Azure Resource Manager has it.
            ("Bearer authorization_uri=\"https://l.example/common/oauth2/authorize\"".into(), None),
            ("Bearer authorization_uri=\"https://l.example/organizations\"".into(), None),
            ("Bearer authorization_uri=\"https://l.example/\"".into(), None),
            ("Bearer authorization_uri=\"nowhere\"".into(), None),
            (format!("PoP authorization_uri=\"https://l.example/{id}\""), None),
            ("Bearer realm=\"\"".into(), None),
        ];
        for (header, expected) in cases {
            let found = directory(&header);
            assert_eq!(found.as_ref().map(TenantId::as_str), expected, "{header}");
        }
    }

    #[test]
    fn a_nonce_is_that_of_a_challenge_to_sign() {
        for (header, expected) in [
            ("", None),
            ("PoP", None),
            ("PoP nonce=\"abc\"", Some("abc")),
            (
                "Bearer realm=\"\", authorization_uri=\"https://l.example/t\", PoP Nonce=abc",
                Some("abc"),
            ),
            ("PoP error=\"invalid_token\"", None),
            ("Digest nonce=\"abc\"", None),
        ] {
            assert_eq!(nonce(header).as_deref(), expected, "{header}");
        }
    }

    #[test]
    fn several_challenges_are_told_apart() {
        let found = challenges(r#"A x="1,2", y=3, B tok68==, C"#);
        let schemes: Vec<&str> = found.iter().map(|challenge| challenge.scheme).collect();
        assert_eq!(schemes, ["A", "B", "C"]);
        assert_eq!(found[0].parameters, [("x", "1,2".to_owned()), ("y", "3".to_owned())]);
    }
}
