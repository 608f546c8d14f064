use std::time::Instant;

use keybearer_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::error::ErrorMembers;
use super::{Call, Member, Method, Nested, check_error, from_reply, to_json};

/// `getLinuxBrokerVersion`: which broker answers. Whatever a client says about itself is ignored.
#[derive(Debug)]
#[non_exhaustive]
pub struct GetLinuxBrokerVersion;

/// The version of Microsoft's broker whose messages this one's are like. Clients compare it with
/// 2.0.1, after which the place of the account and the form of the cookie changed.
const SPOKEN: &str = "3.0.2";

/// Which broker answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokerVersion {
    /// `linuxBrokerVersion`: other clients show it, and derive the form of messages from it.
    pub linux_broker: String,
    /// `keybearerVersion`: only Keybearer's brokers send it.
    pub keybearer: Option<String>,
}

impl BrokerVersion {
    /// This build's.
    #[must_use]
    pub fn this() -> Self {
        let own = env!("CARGO_PKG_VERSION").to_owned();
        Self { linux_broker: SPOKEN.to_owned(), keybearer: Some(own) }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    msal_cpp_version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reply<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    keybearer_version: Option<&'a str>,
    linux_broker_version: &'a str,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ReplyMembers {
    error: Member<Nested<ErrorMembers>>,
    keybearer_version: Member<String>,
    linux_broker_version: Member<String>,
}

impl Method for GetLinuxBrokerVersion {
    type Request = ();
    type Reply = BrokerVersion;
    type Echo = ();

    const NAME: &'static str = "getLinuxBrokerVersion";

    fn encode_request((): &(), _: Instant) -> String {
        to_json(&Object { msal_cpp_version: env!("CARGO_PKG_VERSION") })
    }

    fn decode_request(_: &str, _: &Call) -> Result<((), ())> {
        Ok(((), ()))
    }

    fn encode_reply(version: &BrokerVersion, (): &()) -> String {
        to_json(&Reply {
            keybearer_version: version.keybearer.as_deref(),
            linux_broker_version: &version.linux_broker,
        })
    }

    fn decode_reply(json: &str, (): &()) -> Result<BrokerVersion> {
        let ReplyMembers { error, keybearer_version, linux_broker_version } = from_reply(json)?;
        check_error(error)?;
        let linux_broker = linux_broker_version
            .in_reply("linuxBrokerVersion")?
            .ok_or_else(|| Error::protocol("linuxBrokerVersion in the broker's reply", "none"))?;
        Ok(BrokerVersion { linux_broker, keybearer: keybearer_version.lenient() })
    }
}
