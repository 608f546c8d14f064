//! A person at a browser.

use std::fmt;
use std::time::Duration;

use url::{Origin, Url};

use super::browser::Browser;
use super::page::{Action, Conduct, Form, Page, Request};

/// Requests in one sign-in, redirects included.
const MAX_REQUESTS: usize = 20;
const VISIT_LIMIT: Duration = Duration::from_secs(60);

/// A person who signs in over plain HTTP: follows redirects and links, fills in forms and submits
/// them, until a page asks for nothing more.
///
/// A page that works for this person works without JavaScript.
#[derive(Clone)]
pub struct Person {
    browser: Browser,
    conduct: Conduct,
    /// Where the person goes. `None`: wherever the pages lead.
    only: Option<Origin>,
}

impl Person {
    /// A person without a name, who picks the first account of a page.
    #[must_use]
    pub fn at(browser: Browser) -> Self {
        Self { browser, conduct: Conduct::default(), only: None }
    }

    /// Gives the person an account to pick or to type.
    #[must_use]
    pub fn named(mut self, user: impl Into<String>) -> Self {
        self.conduct.user = Some(user.into());
        self
    }

    /// Gives the person a password to type.
    #[must_use]
    pub fn knowing(mut self, password: impl Into<String>) -> Self {
        self.conduct.password = Some(password.into());
        self
    }

    /// Sets how the sign-in should end; [`Intent::SignIn`] otherwise.
    #[must_use]
    pub fn intending(mut self, intent: Intent) -> Self {
        self.conduct.intent = intent;
        self
    }

    /// Makes the person press a button with one of these values wherever there is one.
    #[must_use]
    pub fn pressing(mut self, values: &[&str]) -> Self {
        self.conduct.presses = values.iter().map(|value| (*value).to_owned()).collect();
        self
    }

    /// Ends each visit before the first request to another origin than this URL's, as for a
    /// browser that cannot reach the app.
    #[must_use]
    pub fn staying_at(mut self, url: &str) -> Self {
        self.only = Some(Url::parse(url).map_or_else(|_| Origin::new_opaque(), |url| url.origin()));
        self
    }

    /// Starts at this address and answers page after page. Returns where that ended.
    ///
    /// # Errors
    /// If a page asks for something that the person does not know, or there is no end.
    pub async fn visit(&self, start: &str) -> Result<Landing, PersonError> {
        let visit = tokio::time::timeout(VISIT_LIMIT, self.walk(first_request(start)?));
        visit.await.map_err(|_| PersonError::TimedOut)?
    }

    /// Opens one page and leaves it as it is. A redirect is not followed.
    ///
    /// # Errors
    /// If the address cannot be reached.
    pub async fn open(&self, url: &str) -> Result<Landing, PersonError> {
        self.browser.send(first_request(url)?).await
    }

    /// Fills in and submits one form. A redirect is not followed.
    ///
    /// # Errors
    /// If the form asks for something that the person does not know.
    pub async fn submit(&self, form: &Form) -> Result<Landing, PersonError> {
        let action = form.filled(&self.conduct).map_err(|unknown| {
            let title = form.target().path().to_owned();
            PersonError::Unanswerable { title, unknown }
        })?;
        match action {
            Action::Send { request, .. } => self.browser.send(request).await,
            Action::Done => Err(PersonError::Endless),
        }
    }

    async fn walk(&self, mut request: Request) -> Result<Landing, PersonError> {
        let mut password_was_sent = false;
        for _ in 0..MAX_REQUESTS {
            let landing = self.browser.send(request.clone()).await?;
            if let Some(next) = landing.redirect()? {
                if self.is_out_of_reach(&next) {
                    return Ok(landing);
                }
                request = next;
                continue;
            }
            let page = landing.page();
            match page.next(&self.conduct)? {
                Action::Done => return Ok(landing),
                Action::Send { request: next, .. } if self.is_out_of_reach(&next) => {
                    return Ok(landing);
                }
                Action::Send { has_password: true, .. }
                    if password_was_sent && page.has_alert() =>
                {
                    return Err(landing.rejected());
                }
                Action::Send { request: next, has_password } => {
                    password_was_sent |= has_password;
                    request = next;
                }
            }
        }
        Err(PersonError::Endless)
    }

    fn is_out_of_reach(&self, request: &Request) -> bool {
        self.only.as_ref().is_some_and(|only| *only != request.url.origin())
    }
}

fn first_request(url: &str) -> Result<Request, PersonError> {
    Url::parse(url).map(Request::get).map_err(PersonError::Address)
}

impl fmt::Debug for Person {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut person = formatter.debug_struct("Person");
        person.field("user", &self.conduct.user).field("intent", &self.conduct.intent);
        person.finish_non_exhaustive()
    }
}

/// How a sign-in should end.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Intent {
    /// With a success.
    #[default]
    SignIn,
    /// By the first button or link that cancels or denies.
    Deny,
    /// Never: the person looks at the first page and leaves it open.
    Abandon,
}

/// Where a visit ended: on a page, or at a redirect that was not followed.
pub struct Landing {
    /// Where the browser was sent and did not go.
    pub location: Option<String>,
    /// The page, if there is one.
    pub html: String,
    pub(crate) status: u16,
    pub(crate) request: Request,
}

impl Landing {
    /// The address of the page or of the redirect.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.request.url
    }

    /// The page's heading.
    #[must_use]
    pub fn title(&self) -> String {
        self.page().title().to_owned()
    }

    /// The first form of the page.
    #[must_use]
    pub fn form(&self) -> Option<Form> {
        self.page().into_form()
    }

    /// Checks that the visit ended on a page that reports no error.
    ///
    /// # Errors
    /// [`PersonError::Failed`] with the page's message.
    pub fn check(&self) -> Result<(), PersonError> {
        if self.status < 400 {
            return Ok(());
        }
        Err(PersonError::Failed { host: self.host(), message: self.page().message().to_owned() })
    }

    /// What the app receives, in any response mode: the names and values of the redirect, or of
    /// the form that leads to the app.
    #[must_use]
    pub fn parameters(&self) -> std::collections::HashMap<String, String> {
        let Some(location) = &self.location else {
            let form = self.form();
            let fields = form.iter().flat_map(Form::fields);
            return fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        };
        let url = Url::parse(location).ok();
        let encoded = url.as_ref().and_then(|url| url.query().or_else(|| url.fragment()));
        let encoded = encoded.unwrap_or_default().as_bytes();
        url::form_urlencoded::parse(encoded).into_owned().collect()
    }

    fn page(&self) -> Page {
        Page::read(&self.html, self.url())
    }

    fn redirect(&self) -> Result<Option<Request>, PersonError> {
        if !matches!(self.status, 300..400) {
            return Ok(None);
        }
        let target = self.location.as_ref().and_then(|location| self.url().join(location).ok());
        let target = target.ok_or_else(|| PersonError::Misdirected { host: self.host() })?;
        Ok(Some(self.request.clone().redirected(self.status, target)))
    }

    fn rejected(&self) -> PersonError {
        PersonError::Rejected { host: self.host(), message: self.page().message().to_owned() }
    }

    fn host(&self) -> String {
        self.url().host_str().unwrap_or_default().to_owned()
    }
}

impl fmt::Debug for Landing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Landing")
            .field("host", &self.host())
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// Why a visit did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PersonError {
    /// The address to start at is not a URL.
    #[error("could not open the address: {0}")]
    Address(url::ParseError),
    /// Page followed page for too long.
    #[error("the sign-in did not end after {MAX_REQUESTS} requests")]
    Endless,
    /// The last page reports an error.
    #[error("{host} answered with an error: {message}")]
    Failed {
        /// The page's host.
        host: String,
        /// The page's alert or title.
        message: String,
    },
    /// A redirect does not name a URL.
    #[error("{host} redirects to something that is not a URL")]
    Misdirected {
        /// The host that redirects.
        host: String,
    },
    /// The page asked for the password again.
    #[error("{host} did not accept the sign-in: {message}")]
    Rejected {
        /// The page's host.
        host: String,
        /// The page's alert.
        message: String,
    },
    /// The pages took too long.
    #[error("timed out after {VISIT_LIMIT:?} waiting for the end of the sign-in")]
    TimedOut,
    /// A page asks for something that the person does not know.
    #[error("could not answer the page “{title}”: it asks for {unknown}")]
    Unanswerable {
        /// The page's title.
        title: String,
        /// What it asks for.
        unknown: Unknown,
    },
    /// No page came from an address.
    #[error("could not reach {}", .url.host_str().unwrap_or_default())]
    Unreachable {
        /// The address. It may contain a code.
        url: Url,
        /// What happened instead.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Something that a person without it cannot type.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Unknown {
    /// The name of an account.
    UserName,
    /// A password.
    Password,
    /// A field of this name.
    Field(String),
}

impl fmt::Display for Unknown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UserName => formatter.write_str("a user name"),
            Self::Password => formatter.write_str("a password"),
            Self::Field(name) => write!(formatter, "“{name}”"),
        }
    }
}
