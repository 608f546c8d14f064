//! The authorize endpoint and the sign-in pages.
//!
//! A request becomes a [`Transaction`]; each page posts to `/{tenant}/login` with the transaction's
//! id, until there is an [`Agreement`] (or a refusal) to carry back to the app.

mod pages;
mod request;
mod sign_ins;
mod transaction;

pub(crate) use self::request::RequestedSignIn;
pub(crate) use self::sign_ins::SignIns;
pub(crate) use self::transaction::{Agreement, CodeRequest, Transaction};

use self::request::{AuthorizeRequest, Rejected};
use self::transaction::{Prompt, Screen, Step};
use crate::server::endpoint_request::EndpointRequest;
use crate::server::entra_error::EntraError;
use crate::server::html::Page;
use crate::server::jwt::Proof;
use crate::server::random::secret;
use crate::server::reply::Reply;
use crate::server::state::EmulatorState;

/// Entra's cookie of a browser session that outlives the browser.
const COOKIE: &str = "ESTSAUTHPERSISTENT";

/// `GET` and `POST /{tenant}/oauth2/v2.0/authorize`.
pub(crate) fn authorize(state: &EmulatorState, received: &EndpointRequest) -> Reply {
    match AuthorizeRequest::parse(state, received) {
        Err(Rejected::Page(error)) => error_page(&error, received),
        Err(Rejected::Redirect(redirect, error)) => redirect.refuse(&error, &received.trace),
        Ok(request) => {
            let id = secret("");
            let transaction = Transaction::of_code(request, state.auto_sign_in.clone());
            state.sign_ins().transactions.insert(id.clone(), transaction);
            advance(state, received, &id, None)
        }
    }
}

/// `POST /{tenant}/login`: the person pressed a button.
pub(crate) fn login(state: &EmulatorState, received: &EndpointRequest) -> Reply {
    let id = received.form.first("ctx").unwrap_or_default();
    match act(state, received, id) {
        Act::Continue => advance(state, received, id, None),
        Act::Again(alert) => advance(state, received, id, Some(&alert)),
        Act::SignedIn(upn, proof) => {
            let session = state.sign_ins().remember(received.cookie(COOKIE), &upn, proof);
            let cookie = format!(
                "{COOKIE}={session}; Path=/; Max-Age=7776000; Secure; HttpOnly; SameSite=None"
            );
            advance(state, received, id, None).with("set-cookie", &cookie)
        }
        Act::Refused(error) => {
            let transaction = state.sign_ins().transactions.remove(id);
            transaction.map_or_else(lost, |transaction| transaction.refuse(state, received, &error))
        }
    }
}

/// `GET /{tenant}/oauth2/v2.0/logout`.
pub(crate) fn logout(state: &EmulatorState, received: &EndpointRequest) -> Reply {
    if let Some(cookie) = received.cookie(COOKIE) {
        state.sign_ins().end_session(cookie);
    }
    Reply::page(&Page::new("You signed out of your account"), "page").with(
        "set-cookie",
        &format!("{COOKIE}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=None"),
    )
}

/// `GET /common/oauth2/nativeclient`: the blank page that ends a sign-in in an app's own window.
pub(crate) fn native_client(_: &EmulatorState, _: &EndpointRequest) -> Reply {
    Reply::page(&Page::new("You may close this window"), "page")
}

/// Applies the pressed button to the transaction.
enum Act {
    Again(String),
    Continue,
    Refused(EntraError),
    SignedIn(String, Proof),
}

fn act(state: &EmulatorState, received: &EndpointRequest, id: &str) -> Act {
    let mut sign_ins = state.sign_ins();
    let known = sign_ins.session(received.cookie(COOKIE));
    let Some(transaction) = sign_ins.transactions.get_mut(id) else {
        return Act::Continue;
    };
    if let Some(account) = received.form.first("account") {
        transaction.choose(account, &known);
        return Act::Continue;
    }
    match received.form.first("action").unwrap_or("next") {
        "cancel" | "deny" => Act::Refused(declined()),
        "disapprove" => Act::Refused(EntraError::new(
            400,
            "access_denied",
            500_121,
            "Authentication failed during strong authentication request.",
        )),
        "other" => {
            transaction.choose("", &known);
            Act::Continue
        }
        "signin" => sign_in(state, received, transaction),
        "approve" => match transaction.approve() {
            Some(upn) => Act::SignedIn(upn, Proof::MultiFactor),
            None => Act::Continue,
        },
        "accept" => {
            transaction.accept();
            Act::Continue
        }
        _ => {
            transaction.choose(received.form.first("username").unwrap_or_default(), &[]);
            Act::Continue
        }
    }
}

fn sign_in(
    state: &EmulatorState,
    received: &EndpointRequest,
    transaction: &mut Transaction,
) -> Act {
    let user = transaction.upn().and_then(|upn| state.directory.user(upn));
    let user = user.filter(|user| received.form.first("password") == Some(user.password.as_str()));
    let Some(user) = user else {
        return Act::Again(
            "AADSTS50126: Error validating credentials due to invalid username or password.".into(),
        );
    };
    transaction.prove(Proof::Password);
    Act::SignedIn(user.upn.clone(), Proof::Password)
}

/// Shows the next page, or ends the transaction.
pub(crate) fn advance(
    state: &EmulatorState,
    received: &EndpointRequest,
    id: &str,
    alert: Option<&str>,
) -> Reply {
    let step = {
        let mut sign_ins = state.sign_ins();
        let known = sign_ins.session(received.cookie(COOKIE));
        let Some(mut transaction) = sign_ins.transactions.remove(id) else {
            return lost();
        };
        let step = transaction.next(state, &known, &sign_ins);
        if let Step::Show(screen) = &step
            && transaction.prompt != Prompt::None
        {
            let page = pages::page(state, &transaction, screen, id, alert);
            sign_ins.transactions.insert(id.to_owned(), transaction);
            return Reply::page(&page, "page");
        }
        (transaction, step)
    };
    match step {
        (transaction, Step::Show(screen)) => {
            let error = without_asking(state, &transaction, &screen);
            transaction.refuse(state, received, &error)
        }
        (transaction, Step::Done(agreement)) => {
            state.sign_ins().consent(&agreement);
            transaction.finish(state, received, agreement)
        }
    }
}

/// The error of `prompt=none` where a page would be needed.
fn without_asking(state: &EmulatorState, transaction: &Transaction, screen: &Screen) -> EntraError {
    let client = &transaction.requested.client_id;
    match screen {
        Screen::Username | Screen::Password(_) => EntraError::new(
            400,
            "login_required",
            50_058,
            "A silent sign-in request was sent but no user is signed in. The cookies used to \
             represent the user's session were not sent in the request to Azure AD.",
        ),
        Screen::PickAccount(_) => EntraError::new(
            400,
            "interaction_required",
            16_000,
            "Either multiple user identities are available for the current request or selected \
             account is not supported for the scenario.",
        ),
        Screen::NotAMember(upn) => EntraError {
            error: "interaction_required".into(),
            ..EntraError::not_a_member(upn, transaction.requested.authority.segment())
        },
        Screen::Approve(_) => {
            let audience = transaction.requested.scopes.audience();
            EntraError::mfa_required(
                state.directory.resource(audience).map_or(audience, |r| &r.uri),
            )
        }
        Screen::Consent(_) => EntraError::new(
            400,
            "consent_required",
            65_001,
            format!(
                "The user or administrator has not consented to use the application with ID \
                 '{client}'. Send an interactive authorization request for this user and resource."
            ),
        ),
    }
}

/// The person declined.
pub(crate) fn declined() -> EntraError {
    EntraError::new(400, "access_denied", 65_004, "User declined to consent to access the app.")
}

pub(crate) fn error_page(error: &EntraError, received: &EndpointRequest) -> Reply {
    let page = Page::new("Sorry, but we're having trouble signing you in.")
        .alert(Some(&error.description(&received.trace)));
    Reply::page(&page, &error.name()).with_status(error.status)
}

fn lost() -> Reply {
    let page = Page::new("This sign-in is over").text("Start again from the app.");
    Reply::page(&page, "unknown transaction").with_status(400)
}
