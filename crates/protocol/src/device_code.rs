//! Signing in on another device: [RFC 8628](https://www.rfc-editor.org/rfc/rfc8628).

use std::fmt;
use std::time::Duration;

use keybearer_core::{Claims, ClientId, CorrelationId, Error, Missing, Result, ScopeSet};
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use crate::Body;
use crate::exchange::{Seconds, post, read, required};
use crate::metadata::ProviderMetadata;
use crate::parameters::{Parameters, scope};
use crate::token::{self, TokenResponse};

/// The secret that identifies the sign-in to the token endpoint, RFC 8628 §3.2. Wiped when dropped
/// and never printed.
pub struct DeviceCode(Zeroizing<String>);

impl DeviceCode {
    /// The secret itself. The caller must not log it or put it into an error.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DeviceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceCode")
    }
}

/// Starts a sign-in on another device, RFC 8628 §3.1.
#[derive(Clone, Debug)]
pub struct DeviceAuthorizationRequest<'a> {
    /// The provider's configuration.
    pub metadata: &'a ProviderMetadata,
    /// The app.
    pub client_id: &'a ClientId,
    /// The requested scopes; the sign-in scopes are added.
    pub scopes: &'a ScopeSet,
    /// Claims request, already merged with the client's capabilities.
    pub claims: Option<&'a Claims>,
    /// Identifies the operation.
    pub correlation_id: &'a CorrelationId,
}

impl DeviceAuthorizationRequest<'_> {
    /// Builds the request.
    ///
    /// # Errors
    /// `Unavailable(UserInterface)` if the provider has no endpoint for it.
    pub fn http(&self) -> Result<http::Request<Body>> {
        let url = self.metadata.device_authorization_endpoint.as_ref().ok_or_else(|| {
            Error::unavailable(
                Missing::UserInterface,
                "the provider does not support sign-in on another device",
            )
            .with_hint("sign in with the browser of this machine")
        })?;
        let parameters = Parameters::new([
            ("client_id", Some(self.client_id.as_str().into())),
            ("scope", Some(scope(self.scopes).into())),
            ("claims", self.claims.map(|claims| claims.as_str().into())),
        ]);
        post(url, &parameters, None, self.correlation_id)
    }
}

/// The codes of a sign-in on another device, RFC 8628 §3.2.
#[derive(Debug)]
#[non_exhaustive]
pub struct DeviceAuthorization {
    /// Identifies the sign-in in polls.
    pub device_code: DeviceCode,
    /// The code that the person enters.
    pub user_code: String,
    /// The page to enter it on.
    pub verification_uri: Url,
    /// How long the codes are valid.
    pub expires_in: Duration,
    /// How long to wait between polls.
    pub interval: Duration,
}

/// Reads the response.
///
/// # Errors
/// See [`error::from_response`](crate::error::from_response).
pub fn parse(response: &http::Response<Body>) -> Result<DeviceAuthorization> {
    let wire: Wire = read(response, WHAT)?;
    let uri = required(wire.verification_uri.or(wire.verification_url), "verification_uri", WHAT)?;
    let uri = Url::parse(&uri).ok().filter(|uri| uri.scheme() == "https");
    Ok(DeviceAuthorization {
        device_code: DeviceCode(required(wire.device_code, "device_code", WHAT)?),
        user_code: required(wire.user_code, "user_code", WHAT)?,
        verification_uri: uri.ok_or_else(|| {
            Error::protocol("an https address as verification_uri", "something else")
        })?,
        expires_in: required(wire.expires_in, "expires_in", WHAT)?.duration()?,
        interval: wire.interval.map_or(Ok(DEFAULT_INTERVAL), Seconds::duration)?,
    })
}

const WHAT: &str = "request for a device code";

/// RFC 8628 §3.2: the interval if the response has none.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct Wire {
    device_code: Option<Zeroizing<String>>,
    user_code: Option<String>,
    verification_uri: Option<String>,
    verification_url: Option<String>,
    expires_in: Option<Seconds>,
    interval: Option<Seconds>,
}

/// The outcome of a poll, RFC 8628 §3.5.
#[derive(Debug)]
#[must_use]
pub enum Poll {
    /// The person has not finished.
    Pending,
    /// The person has not finished, and all further polls must be five seconds further apart.
    SlowDown,
    /// The person signed in.
    Done(Box<TokenResponse>),
}

/// Reads the response to a [`Grant::DeviceCode`](crate::token::Grant::DeviceCode).
///
/// # Errors
/// `Denied(Person)` if the person declined, `TimedOut` if the codes have expired, otherwise as
/// [`token::parse`].
pub fn poll(response: &http::Response<Body>) -> Result<Poll> {
    token::parse(response).map(|tokens| Poll::Done(Box::new(tokens))).or_else(|error| {
        match error.context().oauth_error.as_deref() {
            Some("authorization_pending") => Ok(Poll::Pending),
            Some("slow_down") => Ok(Poll::SlowDown),
            _ => Err(error),
        }
    })
}

#[cfg(test)]
mod tests {
    use keybearer_core::{Authority, Denial, ErrorKind};

    use super::*;
    use crate::testdata::metadata;

    fn response(status: u16, body: &str) -> http::Response<Body> {
        let body = Body::new(body.as_bytes().to_vec());
        http::Response::builder().status(status).body(body).unwrap()
    }

    #[test]
    fn the_person_is_told_where_to_enter_what() {
        let body = r#"{"device_code":"D-secret","user_code":"ABC","verification_uri":
            "https://login.microsoft.com/device","expires_in":900,"interval":"7"}"#;
        let authorization = parse(&response(200, body)).unwrap();
        assert_eq!(authorization.user_code, "ABC");
        assert_eq!(authorization.interval, Duration::from_secs(7));
        assert_eq!(authorization.device_code.expose(), "D-secret");
        assert!(!format!("{authorization:?}").contains("secret"));
    }

    #[test]
    fn an_address_that_is_no_secure_web_page_is_refused() {
        for uri in ["file:///etc", "http://login.microsoft.com/device", "x"] {
            let body = format!(
                r#"{{"device_code":"D","user_code":"A","verification_uri":"{uri}","expires_in":9}}"#
            );
            assert!(parse(&response(200, &body)).is_err(), "{uri}");
        }
    }

    #[test]
    fn the_request_names_the_app_and_the_scopes() {
        let authority = Authority::parse("https://localhost:8443/common").unwrap();
        let mut metadata = metadata(&authority);
        let asked = |metadata: &ProviderMetadata| {
            DeviceAuthorizationRequest {
                metadata,
                client_id: &ClientId::parse("app-1").unwrap(),
                scopes: &ScopeSet::parse(&["User.Read"]).unwrap(),
                claims: None,
                correlation_id: &CorrelationId::new("id-1"),
            }
            .http()
        };
        let request = asked(&metadata).unwrap();
        assert_eq!(request.uri(), "https://localhost:8443/common/oauth2/v2.0/devicecode");
        assert_eq!(
            request.body().expose(),
            b"client_id=app-1&scope=User.Read+openid+profile+offline_access"
        );
        metadata.device_authorization_endpoint = None;
        let missing = ErrorKind::Unavailable(Missing::UserInterface);
        assert_eq!(asked(&metadata).unwrap_err().kind(), &missing);
    }

    #[test]
    fn polling_goes_on_until_there_is_an_outcome() {
        let poll = |error: &str| poll(&response(400, &format!(r#"{{"error":"{error}"}}"#)));
        assert!(matches!(poll("authorization_pending"), Ok(Poll::Pending)));
        assert!(matches!(poll("slow_down"), Ok(Poll::SlowDown)));
        for (error, kind) in [
            ("authorization_declined", ErrorKind::Denied(Denial::Person)),
            ("access_denied", ErrorKind::Denied(Denial::Person)),
            ("expired_token", ErrorKind::TimedOut),
        ] {
            assert_eq!(poll(error).unwrap_err().kind(), &kind, "{error}");
        }
        let done = super::poll(&response(200, r#"{"access_token":"a","token_type":"Bearer"}"#));
        assert!(matches!(done, Ok(Poll::Done(_))));
    }
}
