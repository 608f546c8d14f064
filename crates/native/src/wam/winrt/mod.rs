//! Web Account Manager across the WinRT boundary: values in, values out, no decisions.
#![allow(unsafe_code, reason = "the system's functions have no other form")]

mod call;
mod convert;
mod factories;
mod window;

use async_trait::async_trait;
use keybearer_core::ClientId;
use windows::Security::Authentication::Web::Core::WebTokenRequestResult;
use windows::Security::Credentials::{WebAccount, WebAccountProvider};
use windows::core::HSTRING;

use super::transport::{Answer, Listing, Provider, ProviderError, Request, SystemError, Transport};
use crate::window::ParentWindow;
use call::{Call, optional, run};
use factories::{Manager, Requests};

/// The system's Web Account Manager.
#[derive(Debug)]
pub(crate) struct WinRt {
    pub(crate) parent: ParentWindow,
}

#[async_trait]
impl Transport for WinRt {
    async fn provider(&self, provider: &Provider) -> Result<Option<String>, SystemError> {
        let provider = provider.clone();
        run(move |call| {
            let found = find_provider(call, &Manager::activate()?, &provider)?;
            found.map(|found| Ok(found.Authority()?.to_string_lossy())).transpose()
        })
        .await
    }

    async fn accounts(
        &self,
        provider: &Provider,
        client_id: &ClientId,
    ) -> Result<Listing, SystemError> {
        let (provider, client_id) = (provider.clone(), text(client_id.as_str()));
        run(move |call| {
            let manager = Manager::activate()?;
            let Some(provider) = find_provider(call, &manager, &provider)? else {
                return Ok(Listing::NoProvider);
            };
            let result = call.wait(&manager.find_all_accounts(&provider, &client_id)?)?;
            convert::listing(&result)
        })
        .await
    }

    async fn silent(&self, request: &Request) -> Result<Answer, SystemError> {
        let request = request.clone();
        run(move |call| {
            answered(call, &request, &|manager, what, account| match account {
                Some(account) => manager.token_silently_with_account(what, account),
                None => manager.token_silently(what),
            })
        })
        .await
    }

    async fn interactive(&self, request: &Request) -> Result<Answer, SystemError> {
        let (request, parent) = (request.clone(), self.parent);
        run(move |call| {
            let window = window::handle(parent)?;
            answered(call, &request, &|manager, what, account| match account {
                Some(account) => manager.token_for_window_with_account(window, what, account),
                None => manager.token_for_window(window, what),
            })
        })
        .await
    }

    async fn sign_out(
        &self,
        provider: &Provider,
        account_id: &str,
        client_id: &ClientId,
    ) -> Result<bool, SystemError> {
        let (provider, account_id) = (provider.clone(), text(account_id));
        let client_id = text(client_id.as_str());
        run(move |call| {
            let manager = Manager::activate()?;
            let Some(provider) = find_provider(call, &manager, &provider)? else {
                return Ok(false);
            };
            let found = optional(call.wait(&manager.find_account(&provider, &account_id)?))?;
            let Some(account) = found else { return Ok(false) };
            call.wait_action(&account.SignOutWithClientIdAsync(&client_id)?).map(|()| true)
        })
        .await
    }
}

type Ask<'a> = &'a dyn Fn(
    &Manager,
    &windows::Security::Authentication::Web::Core::WebTokenRequest,
    Option<&WebAccount>,
) -> windows::core::Result<factories::Operation<WebTokenRequestResult>>;

/// Finds provider and account, asks, and asks once more if the answer is the token refused before.
fn answered(call: &Call, request: &Request, ask: Ask<'_>) -> windows::core::Result<Answer> {
    const USER_INTERACTION_REQUIRED: i32 = 3;
    const ACCOUNT_PROVIDER_NOT_AVAILABLE: i32 = 4;
    let manager = Manager::activate()?;
    let Some(provider) = find_provider(call, &manager, &request.provider)? else {
        return Ok(without_response(ACCOUNT_PROVIDER_NOT_AVAILABLE, "no such provider"));
    };
    let account = match &request.account_id {
        None => None,
        Some(id) => match optional(call.wait(&manager.find_account(&provider, &text(id))?))? {
            None => return Ok(without_response(USER_INTERACTION_REQUIRED, "no such account")),
            found => found,
        },
    };
    let what = Requests::activate()?.create(&provider, request)?;
    let result = call.wait(&ask(&manager, &what, account.as_ref())?)?;
    let answer = convert::answer(&result)?;
    let stale = match (&answer.response, &request.refused) {
        (Some(response), Some(refused)) => response.token.same_as(refused),
        _ => false,
    };
    if !stale {
        return Ok(answer);
    }
    call.wait_action(&result.InvalidateCacheAsync()?)?;
    convert::answer(&call.wait(&ask(&manager, &what, account.as_ref())?)?)
}

fn find_provider(
    call: &Call,
    manager: &Manager,
    provider: &Provider,
) -> windows::core::Result<Option<WebAccountProvider>> {
    let authority = provider.authority.as_deref().map(text);
    optional(call.wait(&manager.find_provider(&text(provider.id), authority.as_ref())?))
}

fn without_response(status: i32, message: &str) -> Answer {
    let error = Some(ProviderError { code: 0, message: message.to_owned() });
    Answer { status, error, response: None }
}

fn text(text: &str) -> HSTRING {
    HSTRING::from(text)
}
