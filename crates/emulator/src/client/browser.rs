//! A browser without scripts: HTTP with a cookie jar of its own.

use std::sync::Arc;
use std::time::Duration;

use reqwest::cookie::Jar;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::redirect::Policy;
use url::{Host, Url};

use super::error::LaboratoryError;
use super::http::trusting;
use super::page::{Method, Request};
use super::person::{Landing, PersonError};
use crate::ready::Ready;

const REQUEST_LIMIT: Duration = Duration::from_secs(30);
const USER_AGENT: &str = "Mozilla/5.0 (compatible; keybearer-browse)";

/// A browser that runs no script. It keeps its cookies, so that a second sign-in finds the session
/// of the first. Clones share them.
#[derive(Clone, Debug)]
pub struct Browser {
    /// For loopback addresses, whatever the proxy settings say.
    direct: reqwest::Client,
    proxied: reqwest::Client,
}

impl Browser {
    /// A browser that trusts the certificates this system trusts, and uses its proxies.
    ///
    /// # Errors
    /// If the system's certificates cannot be read.
    pub fn of_system() -> Result<Self, LaboratoryError> {
        let jar = Arc::new(Jar::default());
        let build = |builder| furnished(builder, &jar).build().map_err(LaboratoryError::client);
        Ok(Self {
            direct: build(reqwest::Client::builder().no_proxy())?,
            proxied: build(reqwest::Client::builder())?,
        })
    }

    /// A browser that trusts this emulator only.
    ///
    /// # Errors
    /// If the emulator's certificate cannot be read.
    pub fn trusting(ready: &Ready) -> Result<Self, LaboratoryError> {
        let browser = furnished(trusting(ready)?, &Arc::default());
        let browser = browser.build().map_err(LaboratoryError::client)?;
        Ok(Self { direct: browser.clone(), proxied: browser })
    }

    /// Sends one request and reads the answer. Redirects are left to the caller.
    pub(crate) async fn send(&self, request: Request) -> Result<Landing, PersonError> {
        let client = if is_loopback(&request.url) { &self.direct } else { &self.proxied };
        let builder = match request.method {
            Method::Get => client.get(request.url.clone()),
            Method::Post => client
                .post(request.url.clone())
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(request.encoded_fields()),
        };
        let unreachable = |error: reqwest::Error| PersonError::Unreachable {
            url: request.url.clone(),
            // The text of the error would contain the URL with its code.
            source: Box::new(error.without_url()),
        };
        let response = builder.send().await.map_err(unreachable)?;
        let status = response.status();
        let location = response.headers().get(LOCATION).filter(|_| status.is_redirection());
        let location = location.and_then(|location| location.to_str().ok()).map(str::to_owned);
        let html = response.text().await.map_err(unreachable)?;
        Ok(Landing { location, html, status: status.as_u16(), request })
    }
}

fn furnished(builder: reqwest::ClientBuilder, jar: &Arc<Jar>) -> reqwest::ClientBuilder {
    builder
        .cookie_provider(Arc::clone(jar))
        .redirect(Policy::none())
        .timeout(REQUEST_LIMIT)
        .user_agent(USER_AGENT)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
