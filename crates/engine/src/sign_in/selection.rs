//! Selects the account to sign in, before the provider is involved.

use keybearer_core::{
    Account, AccountChoice, AccountPick, Error, ErrorKind, InteractiveRequest, Prompt, Result,
    Token,
};

use crate::effects::SignIn;
use crate::sign_in::services::Services;

/// The result of selecting an account.
pub(crate) enum AccountSelection {
    /// A connected account was chosen, and its refresh token was enough.
    Token(Box<Token>),
    /// The person has to sign in at the provider.
    SignInTarget(SignInTarget),
}

/// What the authorization request says about the person.
pub(crate) struct SignInTarget {
    pub(crate) login_hint: Option<String>,
    pub(crate) prompt: Prompt,
}

/// Selects the account that the request means. The person chooses among the connected accounts if
/// the request leaves that open.
pub(crate) async fn select_account(
    services: &Services,
    request: &InteractiveRequest,
    session: &mut dyn SignIn,
) -> Result<AccountSelection> {
    let parameters = &request.parameters;
    let target = |login_hint, prompt| {
        Ok(AccountSelection::SignInTarget(SignInTarget { login_hint, prompt }))
    };
    let connected = {
        let environment = parameters.authority.host().environment();
        services.accounts.registry().accounts_in(environment)
    };
    match &parameters.account {
        AccountChoice::LoginHint(username) => target(Some(username.clone()), request.prompt),
        AccountChoice::Exact(id) => {
            let known = connected.iter().find(|account| account.home_account_id == *id);
            target(known.map(|account| account.username.clone()), request.prompt)
        }
        AccountChoice::Only | AccountChoice::Default if connected.is_empty() => {
            target(None, request.prompt)
        }
        AccountChoice::Only | AccountChoice::Default => {
            match session.choose_account(&connected).await? {
                AccountPick::Another => target(None, Prompt::SelectAccount),
                AccountPick::Known(id) => {
                    let known = connected.iter().find(|account| account.home_account_id == id);
                    let account = known.ok_or_else(|| {
                        Error::internal("the chosen account was not among those offered")
                    })?;
                    select_connected(services, request, account).await
                }
            }
        }
    }
}

/// Tries the refresh token of the connected account that the person chose.
async fn select_connected(
    services: &Services,
    request: &InteractiveRequest,
    account: &Account,
) -> Result<AccountSelection> {
    let insistent = matches!(request.prompt, Prompt::Login | Prompt::Consent);
    if !insistent && request.parameters.claims.is_none() {
        match services.silent.token_for(&request.parameters, account).await {
            Ok(token) => return Ok(AccountSelection::Token(Box::new(token))),
            Err(error) if matches!(error.kind(), ErrorKind::InteractionRequired { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let prompt = if insistent { request.prompt } else { Prompt::IfNeeded };
    let login_hint = Some(account.username.clone());
    Ok(AccountSelection::SignInTarget(SignInTarget { login_hint, prompt }))
}
