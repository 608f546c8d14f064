//! The pages of a sign-in. The first button of each page continues, and the last one gives up.

use super::transaction::{Screen, Transaction};
use crate::server::html::{Form, Page, Weight};
use crate::server::state::EmulatorState;

pub(crate) fn page(
    state: &EmulatorState,
    transaction: &Transaction,
    screen: &Screen,
    id: &str,
    alert: Option<&str>,
) -> Page {
    let app = state.directory.app(&transaction.requested.client_id);
    let app = app.map_or("the app", |app| app.name.as_str());
    let action = format!("/{}/login", transaction.requested.authority.segment());
    let form = Form::to(&action).hidden("ctx", id);
    match screen {
        Screen::Username => username(form, app, transaction.upn()),
        Screen::Password(upn) => Page::new("Enter password").alert(alert).text(upn).form(
            &form
                .input("Password", "password", "password", "")
                .button("signin", "Sign in", Weight::Main)
                .button("other", "Use another account", Weight::Other)
                .button("cancel", "Cancel", Weight::Other),
        ),
        Screen::PickAccount(accounts) => pick_account(form, app, accounts),
        Screen::NotAMember(upn) => not_a_member(state, transaction, form, upn),
        Screen::Approve(upn) => Page::new("Approve sign-in request")
            .text(upn)
            .text("Your organization wants one more proof that it is you.")
            .form(&form.button("approve", "Approve", Weight::Main).button(
                "disapprove",
                "Deny",
                Weight::Other,
            )),
        Screen::Consent(upn) => consent(transaction, form, app, upn),
    }
}

fn username(form: Form, app: &str, tried: Option<&str>) -> Page {
    let alert = tried.map(|upn| {
        format!(
            "AADSTS50034: The user account {upn} does not exist in the directory. To sign into \
             this application, the account must be added to the directory."
        )
    });
    Page::new("Sign in").alert(alert.as_deref()).text(&format!("to continue to {app}")).form(
        &form
            .input("Account", "username", "email", tried.unwrap_or_default())
            .button("next", "Next", Weight::Main)
            .button("cancel", "Cancel", Weight::Other),
    )
}

fn pick_account(form: Form, app: &str, accounts: &[String]) -> Page {
    let form = accounts
        .iter()
        .fold(form, |form, upn| form.named_button("account", upn, upn, Weight::Main))
        .button("other", "Use another account", Weight::Other)
        .button("cancel", "Cancel", Weight::Other);
    Page::new("Pick an account").text(&format!("to continue to {app}")).form(&form)
}

fn not_a_member(state: &EmulatorState, transaction: &Transaction, form: Form, upn: &str) -> Page {
    let tenant = transaction.requested.authority.segment();
    let error = crate::server::entra_error::EntraError::not_a_member(
        upn,
        state.directory.tenant_name(tenant),
    );
    let text = format!("{}: {}", error.name(), error.message);
    Page::new("Selected user account does not exist in tenant").alert(Some(&text)).form(
        &form.button("other", "Use another account", Weight::Main).button(
            "cancel",
            "Cancel",
            Weight::Other,
        ),
    )
}

fn consent(transaction: &Transaction, form: Form, app: &str, upn: &str) -> Page {
    if transaction.is_for_device() {
        return Page::new(&format!("Are you trying to sign in to {app}?"))
            .text(upn)
            .text("Only continue if you started this on your own device.")
            .form(&form.button("accept", "Continue", Weight::Main).button(
                "deny",
                "Cancel",
                Weight::Other,
            ));
    }
    Page::new("Permissions requested")
        .text(upn)
        .text(&format!(
            "{app} would like to access {} as you.",
            transaction.requested.scopes.audience()
        ))
        .form(
            &form
                .button("accept", "Accept", Weight::Main)
                .button("deny", "Deny", Weight::Other)
                .button("cancel", "Cancel", Weight::Other),
        )
}
