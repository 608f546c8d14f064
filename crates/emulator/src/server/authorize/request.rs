//! The authorization request (RFC 6749 §4.1.1, RFC 7636 §4.3, OpenID Connect Core §3.1.2.1), and
//! its response.

use url::Url;

use super::transaction::{CodeRequest, Prompt};
use crate::server::claims::Claims;
use crate::server::directory::{Authority, Directory};
use crate::server::endpoint_request::EndpointRequest;
use crate::server::entra_error::{EntraError, Trace};
use crate::server::fixture::App;
use crate::server::html::{Form, Page, Weight};
use crate::server::nested;
use crate::server::reply::Reply;
use crate::server::scopes::Scopes;
use crate::server::state::EmulatorState;

const NATIVE_CLIENT: &str = "https://login.microsoftonline.com/common/oauth2/nativeclient";

/// A valid request.
#[derive(Clone, Debug)]
pub(crate) struct AuthorizeRequest {
    pub(crate) requested: RequestedSignIn,
    pub(crate) code: CodeRequest,
    pub(crate) prompt: Prompt,
    pub(crate) login_hint: Option<String>,
}

/// The sign-in that an app requests, by the code flow or the device flow.
#[derive(Clone, Debug)]
pub(crate) struct RequestedSignIn {
    pub(crate) authority: Authority,
    pub(crate) client_id: String,
    /// The app that hosts the client.
    pub(crate) host: Option<String>,
    pub(crate) scopes: Scopes,
    pub(crate) claims: Claims,
}

/// Why a request is refused, and where the error is shown.
pub(crate) enum Rejected {
    /// On a page, because the redirect URI cannot be trusted.
    Page(EntraError),
    Redirect(Redirect, Box<EntraError>),
}

impl AuthorizeRequest {
    pub(crate) fn parse(
        state: &EmulatorState,
        received: &EndpointRequest,
    ) -> Result<Self, Rejected> {
        let directory = &state.directory;
        let authority = directory.authority(received.tenant()).map_err(Rejected::Page)?;
        let (app, redirect) = client(state, received, &authority).map_err(Rejected::Page)?;
        let app_id = app.client_id.clone();
        match Self::parse_rest(directory, received, &redirect) {
            Ok((host, scopes, claims, challenge, prompt)) => Ok(Self {
                requested: RequestedSignIn { authority, client_id: app_id, host, scopes, claims },
                code: CodeRequest {
                    redirect,
                    challenge,
                    nonce: received.param("nonce").map(str::to_owned),
                    client_info: received.param("client_info") == Some("1"),
                },
                prompt,
                login_hint: received.param("login_hint").map(str::to_owned),
            }),
            Err(error) => Err(Rejected::Redirect(redirect, Box::new(error))),
        }
    }

    fn parse_rest(
        directory: &Directory,
        received: &EndpointRequest,
        redirect: &Redirect,
    ) -> Result<(Option<String>, Scopes, Claims, String, Prompt), EntraError> {
        let response_type = received.param("response_type");
        if response_type != Some("code") {
            let asked = response_type.unwrap_or_default();
            return Err(EntraError::new(
                400,
                "unsupported_response_type",
                700_054,
                format!("response_type '{asked}' is not enabled for the application."),
            ));
        }
        if let Some(mode) = received.param("response_mode")
            && redirect.mode.name() != mode
        {
            return Err(EntraError::bad_parameter("response_mode"));
        }
        let scope =
            received.param("scope").ok_or_else(|| EntraError::missing_parameter("scope"))?;
        let scopes = Scopes::parse(scope, &directory.resources)?;
        let claims = Claims::parse(received.param("claims").unwrap_or_default())?;
        let host = nested::host(directory, received)?;
        Ok((host, scopes, claims, challenge(received)?, Prompt::parse(received.param("prompt"))?))
    }
}

/// The redirect URI and the response mode.
#[derive(Clone, Debug)]
pub(crate) struct Redirect {
    pub(crate) uri: String,
    mode: ResponseMode,
    state: Option<String>,
}

impl Redirect {
    pub(crate) fn refuse(&self, error: &EntraError, trace: &Trace) -> Reply {
        let mut fields = vec![
            ("error", error.error.clone()),
            ("error_description", error.description(trace)),
            ("error_uri", error.uri()),
        ];
        if error.code == 65_004 {
            fields.push(("error_subcode", "cancel".to_owned()));
        }
        if let Some(suberror) = &error.suberror {
            fields.push(("suberror", suberror.clone()));
        }
        if let Some(claims) = &error.claims {
            fields.push(("claims", claims.clone()));
        }
        self.carry(fields, &error.name())
    }

    /// The response with the request's `state`, in the requested response mode.
    pub(crate) fn carry(&self, mut fields: Vec<(&str, String)>, outcome: &str) -> Reply {
        if let Some(state) = &self.state {
            fields.push(("state", state.clone()));
        }
        let encoded =
            || url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
        match self.mode {
            ResponseMode::FormPost => {
                let form = fields
                    .iter()
                    .fold(Form::to(&self.uri), |form, (name, value)| form.hidden(name, value));
                let form = form.named_button("", "", "Continue", Weight::Main);
                let page = Page::new("Working...").text("You are being sent back to the app.");
                Reply::page(&page.form(&form).submitting_itself(), outcome)
            }
            ResponseMode::Fragment => {
                Reply::redirect(&format!("{}#{}", self.uri, encoded()), outcome)
            }
            ResponseMode::Query => {
                let joint = if self.uri.contains('?') { '&' } else { '?' };
                Reply::redirect(&format!("{}{joint}{}", self.uri, encoded()), outcome)
            }
        }
    }
}

/// OAuth 2.0 Multiple Response Types §2.1 and OAuth 2.0 Form Post Response Mode.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ResponseMode {
    FormPost,
    Fragment,
    Query,
}

impl ResponseMode {
    /// The error about an unknown mode is returned in the query.
    fn parse(name: Option<&str>) -> Self {
        match name {
            Some("form_post") => Self::FormPost,
            Some("fragment") => Self::Fragment,
            _ => Self::Query,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::FormPost => "form_post",
            Self::Fragment => "fragment",
            Self::Query => "query",
        }
    }
}

/// The app and the redirect URI, which must be valid before anything is redirected.
fn client<'a>(
    state: &'a EmulatorState,
    received: &EndpointRequest,
    authority: &Authority,
) -> Result<(&'a App, Redirect), EntraError> {
    let id =
        received.param("client_id").ok_or_else(|| EntraError::missing_parameter("client_id"))?;
    let directory = &state.directory;
    let tenant = directory.tenant_name(authority.segment());
    let app = directory.app(id).ok_or_else(|| EntraError::unknown_client(id, tenant))?;
    let uri = received
        .param("redirect_uri")
        .ok_or_else(|| EntraError::missing_parameter("redirect_uri"))?;
    let ours = format!("{}/common/oauth2/nativeclient", state.authority_host);
    let registered = app.redirect_uris.iter().any(|registered| {
        redirect_matches(registered, uri) || (registered == NATIVE_CLIENT && uri == ours)
    });
    if !registered {
        return Err(EntraError::invalid_request(
            50_011,
            format!(
                "The redirect URI '{uri}' specified in the request does not match the redirect \
                 URIs configured for the application '{id}'. Make sure the redirect URI sent in \
                 the request matches one added to your application in the Azure portal. Navigate \
                 to https://aka.ms/redirectUriMismatchError to learn more about how to \
                 troubleshoot this error."
            ),
        ));
    }
    let redirect = Redirect {
        uri: uri.to_owned(),
        mode: ResponseMode::parse(received.param("response_mode")),
        state: received.param("state").map(str::to_owned),
    };
    Ok((app, redirect))
}

/// Compares literally, except that a loopback URI may have any port (RFC 8252 §7.3), and `/` equals the
/// empty path.
fn redirect_matches(registered: &str, uri: &str) -> bool {
    if registered == uri {
        return true;
    }
    let (Ok(registered), Ok(uri)) = (Url::parse(registered), Url::parse(uri)) else {
        return false;
    };
    let loopback = matches!(registered.host_str(), Some("localhost" | "127.0.0.1"));
    loopback
        && registered.scheme() == "http"
        && uri.scheme() == "http"
        && uri.username().is_empty()
        && uri.password().is_none()
        && registered.host_str() == uri.host_str()
        && registered.path() == uri.path()
        && registered.query() == uri.query()
        && uri.fragment().is_none()
}

fn challenge(received: &EndpointRequest) -> Result<String, EntraError> {
    let challenge = received.param("code_challenge").ok_or_else(|| {
        EntraError::invalid_request(
            9_002_325,
            "Proof Key for Code Exchange is required for authorization code redemption.",
        )
    })?;
    if received.param("code_challenge_method") != Some("S256") {
        return Err(EntraError::invalid_request(
            501_491,
            "The code challenge method must be S256.",
        ));
    }
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if challenge.len() != 43 || !challenge.bytes().all(letter) {
        return Err(EntraError::invalid_request(
            501_491,
            "Invalid size of Code_Challenge parameter.",
        ));
    }
    Ok(challenge.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirect_uri_is_literal_except_for_a_loopback_port() {
        let cases = [
            ("http://localhost", "http://localhost", true),
            ("http://localhost", "http://localhost:4321", true),
            ("http://localhost", "http://localhost:4321/", true),
            ("http://localhost", "http://localhost:4321/other", false),
            ("http://localhost", "http://localhost:4321?x=1", false),
            ("http://localhost", "http://127.0.0.1:4321", false),
            ("http://localhost", "https://localhost:4321", false),
            ("http://localhost", "http://localhost@evil.example:4321", false),
            ("http://localhost", "http://me@localhost:4321", false),
            ("http://127.0.0.1/back", "http://127.0.0.1:1/back", true),
            ("https://app.example/", "https://app.example:444/", false),
            (NATIVE_CLIENT, NATIVE_CLIENT, true),
            (
                "ms-appx-web://Microsoft.AAD.BrokerPlugin/x",
                "ms-appx-web://Microsoft.AAD.BrokerPlugin/x",
                true,
            ),
            (
                "ms-appx-web://Microsoft.AAD.BrokerPlugin/x",
                "ms-appx-web://microsoft.aad.brokerplugin/x",
                false,
            ),
        ];
        for (registered, uri, expected) in cases {
            assert_eq!(redirect_matches(registered, uri), expected, "{registered} {uri}");
        }
    }
}
