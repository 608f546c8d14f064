//! What a broker asks of a client's presenter, and what it answers. Both ends are Keybearer's; they
//! may be of different versions, so unknown members are ignored and an unknown act is an error.

use std::time::Duration;

use keybearer_core::{
    Account, AccountPick, Error, HomeAccountId, Missing, PastedAnswer, Result, SignInAddress,
    UserCode,
};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use super::account::{AccountMembers, AccountObject};
use super::error::{ErrorMembers, ErrorObject};
use super::{Member, Nested, to_json};

/// One act of a presenter.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    OpenBrowser(Url),
    PointToBrowser,
    ChooseAccount(Vec<Account>),
    ShowUserCode(UserCode),
    ShowAddress(SignInAddress),
    Paste { complaint: Option<String> },
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Outcome {
    Done,
    Picked(AccountPick),
    Pasted(PastedAnswer),
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct ActObject<'a> {
    act: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accounts: Option<Vec<AccountObject<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    complaint: Option<&'a str>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ActMembers {
    act: Member<String>,
    url: Member<String>,
    accounts: Member<Vec<Nested<AccountMembers>>>,
    user_code: Member<String>,
    expires_in_ms: Member<i64>,
    port: Member<i64>,
    complaint: Member<String>,
}

const OPEN_BROWSER: &str = "openBrowser";
const POINT_TO_BROWSER: &str = "pointToBrowser";
const CHOOSE_ACCOUNT: &str = "chooseAccount";
const SHOW_USER_CODE: &str = "showUserCode";
const SHOW_ADDRESS: &str = "showAddress";
const PASTE: &str = "paste";

impl Act {
    /// Writes it.
    pub(crate) fn encode(&self) -> String {
        let act = |act| ActObject { act, ..ActObject::default() };
        to_json(&match self {
            Self::OpenBrowser(url) => ActObject { url: Some(url.as_str()), ..act(OPEN_BROWSER) },
            Self::PointToBrowser => act(POINT_TO_BROWSER),
            Self::ChooseAccount(accounts) => {
                let accounts = accounts.iter().map(AccountObject::from).collect();
                ActObject { accounts: Some(accounts), ..act(CHOOSE_ACCOUNT) }
            }
            Self::ShowUserCode(code) => ActObject {
                user_code: Some(&code.user_code),
                url: Some(code.verification_uri.as_str()),
                expires_in_ms: u64::try_from(code.expires_in.as_millis()).ok(),
                ..act(SHOW_USER_CODE)
            },
            Self::ShowAddress(address) => ActObject {
                url: Some(address.url.as_str()),
                port: address.port,
                ..act(SHOW_ADDRESS)
            },
            Self::Paste { complaint } => {
                ActObject { complaint: complaint.as_deref(), ..act(PASTE) }
            }
        })
    }

    /// Reads it.
    ///
    /// # Errors
    /// `Unavailable(UserInterface)` if it is an act of a newer broker, `Protocol` if it is none.
    pub(crate) fn decode(json: &str) -> Result<Self> {
        let members: ActMembers = serde_json::from_str(json).map_err(|_| malformed())?;
        let act = members.act.lenient().ok_or_else(malformed)?;
        let url = members.url.lenient().and_then(|url| Url::parse(&url).ok());
        let web_page = || {
            let url = url.clone().filter(|url| matches!(url.scheme(), "http" | "https"));
            url.ok_or_else(malformed)
        };
        Ok(match act.as_str() {
            OPEN_BROWSER => Self::OpenBrowser(web_page()?),
            POINT_TO_BROWSER => Self::PointToBrowser,
            CHOOSE_ACCOUNT => {
                let accounts = members.accounts.lenient().unwrap_or_default();
                Self::ChooseAccount(
                    accounts.into_iter().filter_map(|Nested(a)| a.whole()).collect(),
                )
            }
            SHOW_USER_CODE => {
                let millis = members.expires_in_ms.lenient().unwrap_or_default();
                Self::ShowUserCode(UserCode {
                    user_code: members.user_code.lenient().ok_or_else(malformed)?,
                    verification_uri: web_page()?,
                    expires_in: Duration::from_millis(u64::try_from(millis).unwrap_or_default()),
                })
            }
            SHOW_ADDRESS => {
                let port = members.port.lenient().and_then(|port| u16::try_from(port).ok());
                Self::ShowAddress(SignInAddress { url: web_page()?, port })
            }
            PASTE => Self::Paste { complaint: members.complaint.lenient() },
            _ => {
                return Err(Error::unavailable(
                    Missing::UserInterface,
                    "could not show what the broker asks for: this program is older than the broker",
                ));
            }
        })
    }
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct OutcomeObject<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    home_account_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pasted: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorObject>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct OutcomeMembers {
    home_account_id: Member<String>,
    pasted: Member<String>,
    error: Member<Nested<ErrorMembers>>,
}

/// Writes what came of an act.
pub(crate) fn encode_outcome(outcome: &Result<Outcome>) -> Zeroizing<String> {
    let object = match outcome {
        Ok(Outcome::Done | Outcome::Picked(AccountPick::Another)) => OutcomeObject::default(),
        Ok(Outcome::Picked(AccountPick::Known(id))) => {
            OutcomeObject { home_account_id: Some(id.as_str()), ..OutcomeObject::default() }
        }
        Ok(Outcome::Pasted(pasted)) => {
            OutcomeObject { pasted: Some(pasted.expose()), ..OutcomeObject::default() }
        }
        Err(error) => OutcomeObject { error: Some(error.into()), ..OutcomeObject::default() },
    };
    Zeroizing::new(to_json(&object))
}

/// Reads what came of an act.
///
/// # Errors
/// The presenter's; `Protocol`, without any content, if the text is malformed.
pub(crate) fn decode_outcome(json: &str, act: &Act) -> Result<Outcome> {
    let members: OutcomeMembers = serde_json::from_str(json).map_err(|_| malformed())?;
    if let Some(Nested(error)) = members.error.lenient() {
        return Err(error.into());
    }
    Ok(match act {
        Act::ChooseAccount(_) => {
            let id = members.home_account_id.lenient();
            let id = id.map(|id| HomeAccountId::parse(&id)).transpose()?;
            Outcome::Picked(id.map_or(AccountPick::Another, AccountPick::Known))
        }
        Act::Paste { .. } => {
            Outcome::Pasted(PastedAnswer::new(members.pasted.lenient().unwrap_or_default()))
        }
        _ => Outcome::Done,
    })
}

fn malformed() -> Error {
    Error::protocol("a presenter's message", "something else")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_arrives_as_it_was_sent() {
        let url = || Url::parse("https://login.example/device").unwrap();
        for act in [
            Act::OpenBrowser(url()),
            Act::PointToBrowser,
            Act::ChooseAccount(vec![keybearer_testkit::sample::account()]),
            Act::ShowUserCode(UserCode {
                user_code: "ABC".into(),
                verification_uri: url(),
                expires_in: Duration::from_secs(900),
            }),
            Act::ShowAddress(SignInAddress { url: url(), port: Some(27410) }),
            Act::ShowAddress(SignInAddress { url: url(), port: None }),
            Act::Paste { complaint: Some("that is not it".into()) },
            Act::Paste { complaint: None },
        ] {
            let arrived = Act::decode(&act.encode()).unwrap();
            assert_eq!(arrived.encode(), act.encode());
            assert_eq!(format!("{arrived:?}"), format!("{act:?}"));
        }
    }

    #[test]
    fn a_page_is_only_ever_one_of_the_web() {
        for url in ["file:///etc/passwd", "javascript:alert(1)", "--help", ""] {
            let json = format!(r#"{{"act":"openBrowser","url":"{url}"}}"#);
            assert!(Act::decode(&json).is_err(), "{url}");
        }
    }

    #[test]
    fn an_act_of_a_newer_broker_is_one_that_cannot_be_shown_here() {
        let error = Act::decode(r#"{"act":"sing"}"#).unwrap_err();
        let missing = keybearer_core::ErrorKind::Unavailable(Missing::UserInterface);
        assert_eq!(*error.kind(), missing);
    }

    #[test]
    fn an_outcome_arrives_as_it_was_sent() {
        let paste = Act::Paste { complaint: None };
        let choose = Act::ChooseAccount(Vec::new());
        let id = HomeAccountId::parse("oid.tid").unwrap();
        let answer = PastedAnswer::new("http://localhost/?code=x".into());
        let sent = encode_outcome(&Ok(Outcome::Pasted(answer)));
        let Ok(Outcome::Pasted(pasted)) = decode_outcome(&sent, &paste) else { panic!() };
        assert_eq!(pasted.expose(), "http://localhost/?code=x");
        for pick in [AccountPick::Known(id), AccountPick::Another] {
            let sent = encode_outcome(&Ok(Outcome::Picked(pick.clone())));
            let Ok(Outcome::Picked(arrived)) = decode_outcome(&sent, &choose) else { panic!() };
            assert_eq!(arrived, pick);
        }
        let sent = encode_outcome(&Err(Error::cancelled("choose an account")));
        let error = decode_outcome(&sent, &choose).unwrap_err();
        assert_eq!(*error.kind(), keybearer_core::ErrorKind::Cancelled);
    }
}
