//! `browse`: acts as the person in a sign-in, over plain HTTP.
//!
//! Follows redirects and links, fills forms and submits them, until a page asks for nothing more.
//! Runs no script, so a page that works here works without JavaScript.

mod page;

use anyhow::{Context as _, Result, bail};
use page::{Action, Intent, Method, Page, Person, Request};
use reqwest::cookie::Jar;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::redirect::Policy;
use std::sync::Arc;
use std::time::Duration;
use url::{Host, Url};

/// Requests in one sign-in, redirects included.
const MAX_STEPS: usize = 20;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const WHOLE_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Where the sign-in begins
    url: Url,
    /// Account to pick or to type; without it, the first account offered
    #[arg(long, env = "KEYBEARER_BROWSE_USER")]
    user: Option<String>,
    /// Its password; better given by the variable, since others can read argument lists
    #[arg(long, env = "KEYBEARER_BROWSE_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// Press the first cancel or deny button met
    #[arg(long, conflicts_with = "abandon")]
    deny: bool,
    /// Look at the first page and walk away
    #[arg(long)]
    abandon: bool,
}

pub(crate) async fn run(options: &Options) -> Result<()> {
    let intent = match (options.deny, options.abandon) {
        (true, _) => Intent::Deny,
        (_, true) => Intent::Abandon,
        _ => Intent::SignIn,
    };
    let person = Person { user: options.user.clone(), password: options.password.clone() };
    let visit = Visit { browser: Browser::new()?, person, intent };
    tokio::time::timeout(WHOLE_TIMEOUT, visit.walk(options.url.clone()))
        .await
        .with_context(|| format!("the sign-in was not finished after {WHOLE_TIMEOUT:?}"))?
}

/// One person's way through a sign-in.
struct Visit {
    browser: Browser,
    person: Person,
    intent: Intent,
}

impl Visit {
    async fn walk(&self, start: Url) -> Result<()> {
        let mut request = Request::get(start);
        let mut password_was_sent = false;
        for _ in 0..MAX_STEPS {
            let host = request.url.host_str().unwrap_or_default().to_owned();
            match self.browser.send(request).await? {
                Answer::Redirect(next) => request = next,
                Answer::Page { url, ok, html } => {
                    let page = Page::read(&html, &url);
                    match page.next(&self.person, self.intent)? {
                        Action::Done if ok => return Ok(()),
                        Action::Done => bail!("{host} answered with an error: {}", page.message()),
                        Action::Send { has_password: true, .. }
                            if password_was_sent && page.has_alert() =>
                        {
                            bail!("{host} did not accept the sign-in: {}", page.message())
                        }
                        Action::Send { request: next, has_password } => {
                            password_was_sent |= has_password;
                            request = next;
                        }
                    }
                }
            }
        }
        bail!("the sign-in did not end after {MAX_STEPS} requests")
    }
}

enum Answer {
    Redirect(Request),
    Page { url: Url, ok: bool, html: String },
}

/// HTTP with one cookie jar. Loopback addresses are asked directly, whatever the proxy settings say.
struct Browser {
    direct: reqwest::Client,
    proxied: reqwest::Client,
}

impl Browser {
    fn new() -> Result<Self> {
        let jar = Arc::new(Jar::default());
        let builder = || {
            reqwest::Client::builder()
                .cookie_provider(Arc::clone(&jar))
                .redirect(Policy::none())
                .timeout(REQUEST_TIMEOUT)
                .user_agent("Mozilla/5.0 (compatible; keybearer-browse)")
        };
        Ok(Self { direct: builder().no_proxy().build()?, proxied: builder().build()? })
    }

    async fn send(&self, request: Request) -> Result<Answer> {
        let client = if is_loopback(&request.url) { &self.direct } else { &self.proxied };
        let host = request.url.host_str().unwrap_or_default().to_owned();
        let builder = match request.method {
            Method::Get => client.get(request.url.clone()),
            Method::Post => client
                .post(request.url.clone())
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(request.encoded_fields()),
        };
        // The error's own text holds the URL with its codes.
        let sent = builder.send().await.map_err(reqwest::Error::without_url);
        let response = sent.with_context(|| format!("could not reach {host}"))?;
        let status = response.status();
        if status.is_redirection() {
            let location =
                response.headers().get(LOCATION).context("a redirect without a target")?;
            let target = request.url.join(location.to_str()?).context("a redirect to no URL")?;
            return Ok(Answer::Redirect(request.redirected(status.as_u16(), target)));
        }
        let html = response.text().await.map_err(reqwest::Error::without_url)?;
        Ok(Answer::Page { url: request.url, ok: status.is_success(), html })
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
