//! What a page asks of a person, read from its HTML. Pure.

use scraper::{ElementRef, Html, Selector};
use url::Url;
use url::form_urlencoded::Serializer;

use super::person::{Intent, PersonError, Unknown};

/// How a person answers a page.
#[derive(Clone, Default)]
pub(crate) struct Conduct {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) intent: Intent,
    /// Values of buttons to press wherever they are met, before anything else.
    pub(crate) presses: Vec<String>,
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

/// A request that a person's click makes. Fields may hold a password, so it has no `Debug`.
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

/// A form of a page, not filled in yet.
#[derive(Clone)]
pub struct Form {
    method: Method,
    target: Url,
    inputs: Vec<Input>,
    buttons: Vec<Button>,
}

#[derive(Clone)]
struct Input {
    name: String,
    value: String,
    role: Role,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Role {
    /// Hidden, or filled in already.
    Carried,
    User,
    Password,
    /// Text that the person would have to know.
    Text,
}

#[derive(Clone)]
struct Button {
    /// What is sent when it is pressed.
    field: Option<(String, String)>,
    /// Visible text and value, in lower case.
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

    /// The page's alert or, without one, its title.
    pub(crate) fn message(&self) -> &str {
        self.alert.as_deref().unwrap_or(&self.title)
    }

    pub(crate) fn title(&self) -> &str {
        &self.title
    }

    pub(crate) fn into_form(self) -> Option<Form> {
        self.forms.into_iter().next()
    }

    /// What the person does on this page.
    ///
    /// # Errors
    /// If the page asks for something that the person does not know.
    pub(crate) fn next(&self, conduct: &Conduct) -> Result<Action, PersonError> {
        if conduct.intent == Intent::Abandon {
            return Ok(Action::Done);
        }
        let refusal = || {
            let denies = conduct.intent == Intent::Deny;
            denies.then(|| self.press_any(|words| has_word(words, DENY))).flatten()
        };
        let pressed = self.press_value(&conduct.presses);
        if let Some(action) = pressed.or_else(|| self.self_submitting_form()).or_else(refusal) {
            return Ok(action);
        }
        if let Some(form) =
            self.forms.iter().find(|form| form.has(Role::Password) || form.has(Role::User))
        {
            return match self.pick_account(conduct) {
                Some(action) if !form.has(Role::Password) => Ok(action),
                _ => form.filled(conduct).map_err(|unknown| self.asks_for(unknown)),
            };
        }
        let inputs = self.forms.iter().flat_map(|form| &form.inputs);
        if let Some(input) = inputs.into_iter().find(|input| input.is_unanswerable()) {
            return Err(self.asks_for(Unknown::Field(input.name.clone())));
        }
        let action =
            self.pick_account(conduct).or_else(|| self.press_any(|words| has_word(words, AGREE)));
        Ok(action.unwrap_or(Action::Done))
    }

    fn asks_for(&self, unknown: Unknown) -> PersonError {
        PersonError::Unanswerable { title: self.title.clone(), unknown }
    }

    /// The first of the buttons with these values that the page has.
    fn press_value(&self, values: &[String]) -> Option<Action> {
        values.iter().find_map(|value| {
            self.buttons().find(|(_, button)| button.value() == Some(value)).map(press)
        })
    }

    /// The form that carries the answer to the redirect URI. The page's script submits it; without
    /// scripts its only button does.
    fn self_submitting_form(&self) -> Option<Action> {
        let [form] = self.forms.as_slice() else { return None };
        let only_carries = form.inputs.iter().all(|input| input.role == Role::Carried);
        let is_answer = form.inputs.iter().any(|input| ANSWERS.contains(&input.name.as_str()));
        (only_carries && is_answer && form.buttons.len() < 2)
            .then(|| form.submitted(form.buttons.first()))
    }

    /// The tile of the person's account, or else the link to another account. A person without a
    /// name takes the first account.
    fn pick_account(&self, conduct: &Conduct) -> Option<Action> {
        match &conduct.user {
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
        if let Some(found) = self.buttons().find(|(_, button)| wanted(&button.words)) {
            return Some(press(found));
        }
        let link = self.links.iter().find(|link| wanted(&link.text) && link.target != self.url)?;
        Some(Action::Send { request: Request::get(link.target.clone()), has_password: false })
    }

    fn buttons(&self) -> impl Iterator<Item = (&Form, &Button)> {
        self.forms.iter().flat_map(|form| form.buttons.iter().map(move |button| (form, button)))
    }
}

fn press((form, button): (&Form, &Button)) -> Action {
    form.submitted(Some(button))
}

impl Link {
    fn read(element: ElementRef<'_>, base: &Url) -> Option<Self> {
        let target = base.join(element.attr("href")?).ok()?;
        matches!(target.scheme(), "http" | "https")
            .then(|| Self { text: text(element).to_lowercase(), target })
    }
}

impl Form {
    /// Where the form leads.
    #[must_use]
    pub fn target(&self) -> &Url {
        &self.target
    }

    /// The names and values of its fields, in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.inputs.iter().map(|input| (input.name.as_str(), input.value.as_str()))
    }

    /// The form with this value typed into a field, whatever the person knows.
    #[must_use]
    pub fn typing(mut self, name: &str, value: &str) -> Self {
        for input in self.inputs.iter_mut().filter(|input| input.name == name) {
            (input.value, input.role) = (value.to_owned(), Role::Carried);
        }
        self
    }

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

    /// Fills the form in and presses its first button that neither refuses nor leads astray, which
    /// is what Enter presses.
    pub(crate) fn filled(&self, conduct: &Conduct) -> Result<Action, Unknown> {
        let mut form = self.clone();
        for input in &mut form.inputs {
            let is_empty = input.value.is_empty();
            match (input.role, &conduct.user, &conduct.password) {
                (Role::User, Some(user), _) => input.value.clone_from(user),
                (Role::User, None, _) if is_empty => return Err(Unknown::UserName),
                (Role::Password, _, Some(password)) => input.value.clone_from(password),
                (Role::Password, _, None) => return Err(Unknown::Password),
                _ => (),
            }
        }
        let mut buttons = self.buttons.iter();
        let button =
            buttons.find(|button| !has_word(&button.words, DENY) && !is_detour(&button.words));
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
    /// `None` for an element that is not sent: a button, an unchecked box, a disabled or nameless field.
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
        self.role == Role::Text && self.value.is_empty()
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
            _ => Self::Text,
        }
    }
}

impl Button {
    fn value(&self) -> Option<&String> {
        self.field.as_ref().map(|(_, value)| value)
    }

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

/// Whether the account's whole name is there, not only as a part of a longer one.
fn has_account(words: &str, user: &str) -> bool {
    words
        .split(|letter: char| letter.is_whitespace() || "()<>,;:".contains(letter))
        .any(|word| word == user)
}

/// Whether the button leads away from its form without ending the sign-in.
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
    #[expect(
        clippy::expect_used,
        reason = "every selector is a literal of this file, and the tests use each of them"
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
