//! What a page asks of a person, read from its HTML. Pure.

use anyhow::{Context as _, Result, bail};
use scraper::{ElementRef, Html, Selector};
use url::Url;
use url::form_urlencoded::Serializer;

/// Who signs in.
#[derive(Default)]
pub(crate) struct Person {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
}

/// How the sign-in should end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Intent {
    SignIn,
    Deny,
    Abandon,
}

/// The next thing to do.
#[derive(Eq, PartialEq)]
pub(crate) enum Action {
    Send { request: Request, has_password: bool },
    Done,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Method {
    Get,
    Post,
}

/// A request a person's click makes. Fields may hold a password, so it has no `Debug`.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) fields: Vec<(String, String)>,
}

impl Request {
    pub(crate) const fn get(url: Url) -> Self {
        Self { method: Method::Get, url, fields: Vec::new() }
    }

    pub(crate) fn encoded_fields(&self) -> String {
        Serializer::new(String::new()).extend_pairs(&self.fields).finish()
    }

    /// Where a redirect leads: 307 and 308 keep method and body, the others become a GET.
    pub(crate) fn redirected(self, status: u16, url: Url) -> Self {
        if matches!(status, 307 | 308) { Self { url, ..self } } else { Self::get(url) }
    }
}

/// A page as a person sees it: forms with their buttons, and links.
pub(crate) struct Page {
    url: Url,
    forms: Vec<Form>,
    links: Vec<Link>,
    alert: Option<String>,
    title: String,
}

struct Link {
    text: String,
    target: Url,
}

struct Form {
    method: Method,
    target: Url,
    inputs: Vec<Input>,
    buttons: Vec<Button>,
}

struct Input {
    name: String,
    value: String,
    role: Role,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Role {
    /// Hidden, or of no concern to the person.
    Carried,
    User,
    Password,
    /// Something the person would have to know.
    Unknown,
}

#[derive(Clone)]
struct Button {
    /// What is sent when it is pressed.
    field: Option<(String, String)>,
    /// Visible text and value, in small letters.
    words: String,
    target: Option<Url>,
}

impl Page {
    pub(crate) fn read(html: &str, url: &Url) -> Self {
        let document = Html::parse_document(html);
        let base = first(&document, "base[href]")
            .and_then(|element| url.join(element.attr("href")?).ok())
            .unwrap_or_else(|| url.clone());
        let links =
            all(&document, "a[href]").filter_map(|element| Link::read(element, &base)).collect();
        Self {
            url: url.clone(),
            forms: all(&document, "form")
                .filter_map(|element| Form::read(element, &base))
                .collect(),
            links,
            alert: first(&document, "[role=alert]").map(text).filter(|text| !text.is_empty()),
            title: first(&document, "h1, title").map(text).unwrap_or_default(),
        }
    }

    pub(crate) const fn has_alert(&self) -> bool {
        self.alert.is_some()
    }

    /// What the page tells the person.
    pub(crate) fn message(&self) -> &str {
        self.alert.as_deref().unwrap_or(&self.title)
    }

    /// # Errors
    /// When the page asks for something the person was not told.
    pub(crate) fn next(&self, person: &Person, intent: Intent) -> Result<Action> {
        let refusal = || {
            if intent == Intent::Deny {
                self.press_any(|words| has_word(words, DENY))
            } else {
                None
            }
        };
        if intent == Intent::Abandon {
            return Ok(Action::Done);
        }
        if let Some(action) = self.forms_submitting_themselves().or_else(refusal) {
            return Ok(action);
        }
        if let Some(form) =
            self.forms.iter().find(|form| form.has(Role::Password) || form.has(Role::User))
        {
            return match self.pick_account(person) {
                Some(action) if !form.has(Role::Password) => Ok(action),
                _ => form.filled(person).with_context(|| format!("cannot answer “{}”", self.title)),
            };
        }
        if let Some(unknown) =
            self.forms.iter().flat_map(|form| &form.inputs).find(|input| input.is_unanswerable())
        {
            bail!("“{}” asks for “{}”, which the person was not told", self.title, unknown.name);
        }
        let action =
            self.pick_account(person).or_else(|| self.press_any(|words| has_word(words, AGREE)));
        Ok(action.unwrap_or(Action::Done))
    }

    /// A form that carries the answer to the redirect URI is submitted by the page's script, or by
    /// its one button without scripts.
    fn forms_submitting_themselves(&self) -> Option<Action> {
        let [form] = self.forms.as_slice() else { return None };
        let only_carries = form.inputs.iter().all(|input| input.role == Role::Carried);
        let is_answer = form.inputs.iter().any(|input| ANSWERS.contains(&input.name.as_str()));
        (only_carries && is_answer && form.buttons.len() < 2)
            .then(|| form.submitted(form.buttons.first()))
    }

    /// The tile of the person's account, else the way to another account; without a name, the first
    /// account there is.
    fn pick_account(&self, person: &Person) -> Option<Action> {
        match &person.user {
            Some(user) => {
                let user = user.to_lowercase();
                self.press_any(|words| has_account(words, &user)).or_else(|| {
                    self.press_any(|words| OTHER_ACCOUNT.iter().any(|other| words.contains(other)))
                })
            }
            None => self.press_any(|words| words.contains('@')),
        }
    }

    fn press_any(&self, wanted: impl Fn(&str) -> bool) -> Option<Action> {
        let mut buttons = self
            .forms
            .iter()
            .flat_map(|form| form.buttons.iter().map(move |button| (form, button)));
        if let Some((form, button)) = buttons.find(|(_, button)| wanted(&button.words)) {
            return Some(form.submitted(Some(button)));
        }
        let link = self.links.iter().find(|link| wanted(&link.text) && link.target != self.url)?;
        Some(Action::Send { request: Request::get(link.target.clone()), has_password: false })
    }
}

impl Link {
    fn read(element: ElementRef<'_>, base: &Url) -> Option<Self> {
        let target = base.join(element.attr("href")?).ok()?;
        matches!(target.scheme(), "http" | "https")
            .then(|| Self { text: text(element).to_lowercase(), target })
    }
}

impl Form {
    fn read(element: ElementRef<'_>, base: &Url) -> Option<Self> {
        let is_post =
            element.attr("method").is_some_and(|method| method.eq_ignore_ascii_case("post"));
        let target = base.join(element.attr("action").unwrap_or_default()).ok()?;
        let inputs = select(element, "input, textarea").filter_map(Input::read).collect();
        let buttons = select(element, "button, input")
            .filter_map(|button| Button::read(button, base))
            .collect();
        Some(Self {
            method: if is_post { Method::Post } else { Method::Get },
            target,
            inputs,
            buttons,
        })
    }

    fn has(&self, role: Role) -> bool {
        self.inputs.iter().any(|input| input.role == role)
    }

    fn filled(&self, person: &Person) -> Result<Action> {
        let mut form = Self {
            method: self.method,
            target: self.target.clone(),
            inputs: Vec::new(),
            buttons: Vec::new(),
        };
        for input in &self.inputs {
            let value = match input.role {
                Role::User if person.user.is_some() || input.value.is_empty() => person
                    .user
                    .clone()
                    .context("it asks for a user name: give --user or KEYBEARER_BROWSE_USER")?,
                Role::Password => person.password.clone().context(
                    "it asks for a password: give --password or KEYBEARER_BROWSE_PASSWORD",
                )?,
                _ => input.value.clone(),
            };
            form.inputs.push(Input { name: input.name.clone(), value, role: input.role });
        }
        // The form's first button that is no way out is what Enter presses.
        let button = self
            .buttons
            .iter()
            .find(|button| !has_word(&button.words, DENY) && !is_detour(&button.words));
        Ok(form.submitted(button))
    }

    fn submitted(&self, button: Option<&Button>) -> Action {
        let mut fields: Vec<_> =
            self.inputs.iter().map(|input| (input.name.clone(), input.value.clone())).collect();
        fields.extend(button.and_then(|button| button.field.clone()));
        let url =
            button.and_then(|button| button.target.clone()).unwrap_or_else(|| self.target.clone());
        let mut request = Request { method: self.method, url, fields };
        if request.method == Method::Get {
            let query = request.encoded_fields();
            request.url.set_query(Some(&query));
            request.fields.clear();
        }
        Action::Send { request, has_password: self.has(Role::Password) }
    }
}

impl Input {
    /// None for what is not sent: buttons, unchecked boxes, disabled or nameless fields.
    fn read(element: ElementRef<'_>) -> Option<Self> {
        let name = element.attr("name").filter(|name| !name.is_empty())?.to_owned();
        let kind = element.attr("type").unwrap_or("text").to_ascii_lowercase();
        let is_box = matches!(kind.as_str(), "checkbox" | "radio");
        let is_button = matches!(kind.as_str(), "submit" | "button" | "reset" | "image" | "file");
        if is_button
            || element.attr("disabled").is_some()
            || (is_box && element.attr("checked").is_none())
        {
            return None;
        }
        let fallback = if is_box { "on" } else { "" };
        let role = Role::of(&kind, &name, element.attr("autocomplete").unwrap_or_default());
        Some(Self { name, value: element.attr("value").unwrap_or(fallback).to_owned(), role })
    }

    fn is_unanswerable(&self) -> bool {
        self.role == Role::Unknown && self.value.is_empty()
    }
}

impl Role {
    fn of(kind: &str, name: &str, autocomplete: &str) -> Self {
        let name = name.to_ascii_lowercase();
        match kind {
            "hidden" | "checkbox" | "radio" => Self::Carried,
            "password" => Self::Password,
            _ if autocomplete.contains("password") => Self::Password,
            "email" => Self::User,
            _ if autocomplete.contains("username") || autocomplete.contains("email") => Self::User,
            _ if USER_FIELDS.contains(&name.as_str()) => Self::User,
            _ => Self::Unknown,
        }
    }
}

impl Button {
    fn read(element: ElementRef<'_>, base: &Url) -> Option<Self> {
        let is_input = element.value().name() == "input";
        let kind = element
            .attr("type")
            .unwrap_or(if is_input { "text" } else { "submit" })
            .to_ascii_lowercase();
        if !matches!(kind.as_str(), "submit" | "image") || element.attr("disabled").is_some() {
            return None;
        }
        let value = element.attr("value").unwrap_or_default();
        let field = element.attr("name").filter(|name| !name.is_empty());
        Some(Self {
            field: field.map(|name| (name.to_owned(), value.to_owned())),
            words: format!("{} {value}", text(element)).to_lowercase(),
            target: element.attr("formaction").and_then(|action| base.join(action).ok()),
        })
    }
}

fn has_word(words: &str, wanted: &[&str]) -> bool {
    words.split(|letter: char| !letter.is_alphanumeric()).any(|word| wanted.contains(&word))
}

/// The whole address, not the end or the beginning of a longer one.
fn has_account(words: &str, user: &str) -> bool {
    words
        .split(|letter: char| letter.is_whitespace() || "()<>,;:".contains(letter))
        .any(|word| word == user)
}

/// Leads away from the form it stands in, without ending the sign-in.
fn is_detour(words: &str) -> bool {
    OTHER_ACCOUNT.iter().any(|other| words.contains(other)) || has_word(words, &["back"])
}

fn all<'a>(document: &'a Html, selector: &str) -> impl Iterator<Item = ElementRef<'a>> {
    select(document.root_element(), selector)
}

fn first<'a>(document: &'a Html, selector: &str) -> Option<ElementRef<'a>> {
    all(document, selector).next()
}

fn select<'a>(
    element: ElementRef<'a>,
    selector: &str,
) -> impl Iterator<Item = ElementRef<'a>> + use<'a> {
    #[allow(
        clippy::expect_used,
        reason = "every selector is a literal of this file, and the tests read each of them"
    )]
    let selector = Selector::parse(selector).expect("a valid selector");
    let found: Vec<_> = element.select(&selector).collect();
    found.into_iter()
}

fn text(element: ElementRef<'_>) -> String {
    element.text().flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

const AGREE: &[&str] =
    &["accept", "agree", "allow", "approve", "consent", "continue", "next", "yes"];
const ANSWERS: &[&str] = &["code", "error", "id_token"];
const DENY: &[&str] = &["abort", "cancel", "decline", "deny", "refuse", "reject"];
const OTHER_ACCOUNT: &[&str] = &["another account", "different account", "other account"];
const USER_FIELDS: &[&str] = &[
    "account",
    "email",
    "login",
    "login_hint",
    "loginfmt",
    "upn",
    "user",
    "user_name",
    "username",
];

#[cfg(test)]
mod tests;
