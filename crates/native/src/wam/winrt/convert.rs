use std::collections::BTreeMap;

use keybearer_core::AccessToken;
use windows::Security::Authentication::Web::Core::{
    FindAllAccountsResult, FindAllWebAccountsStatus, WebProviderError, WebTokenRequestResult,
    WebTokenResponse,
};
use windows::Security::Credentials::WebAccount;
use windows::core::{HSTRING, Interface, Result};
use windows_collections::{IIterable, IKeyValuePair};

use super::super::transport::{self, Answer, Listing, ProviderError, Response};
use super::call::optional;

pub(super) fn listing(result: &FindAllAccountsResult) -> Result<Listing> {
    match result.Status()? {
        FindAllWebAccountsStatus::Success => {
            let accounts = result.Accounts()?.into_iter().map(|account| self::account(&account));
            accounts.collect::<Result<_>>().map(Listing::Accounts)
        }
        FindAllWebAccountsStatus::NotAllowedByProvider
        | FindAllWebAccountsStatus::NotSupportedByProvider => Ok(Listing::Refused),
        _ => {
            let error = optional(result.ProviderError())?.map(|error| provider_error(&error));
            Ok(Listing::Failed(error.transpose()?.unwrap_or_default()))
        }
    }
}

pub(super) fn answer(result: &WebTokenRequestResult) -> Result<Answer> {
    let error = optional(result.ResponseError())?;
    let responses = optional(result.ResponseData())?;
    let first = match responses {
        Some(responses) if responses.Size()? > 0 => optional(responses.GetAt(0))?,
        _ => None,
    };
    Ok(Answer {
        status: result.ResponseStatus()?.0,
        error: error.map(|error| provider_error(&error)).transpose()?,
        response: first.map(|response| self::response(&response)).transpose()?,
    })
}

fn response(response: &WebTokenResponse) -> Result<Response> {
    let account = optional(response.WebAccount())?;
    let properties = optional(response.Properties())?;
    Ok(Response {
        token: AccessToken::new(response.Token()?.to_string_lossy()),
        account: account.map(|account| self::account(&account)).transpose()?,
        properties: properties.map(|map| pairs(&map)).transpose()?.unwrap_or_default(),
    })
}

fn account(account: &WebAccount) -> Result<transport::WebAccount> {
    let properties = optional(account.Properties())?;
    Ok(transport::WebAccount {
        id: account.Id()?.to_string_lossy(),
        user_name: account.UserName()?.to_string_lossy(),
        properties: properties.map(|map| pairs(&map)).transpose()?.unwrap_or_default(),
    })
}

fn provider_error(error: &WebProviderError) -> Result<ProviderError> {
    Ok(ProviderError { code: error.ErrorCode()?, message: error.ErrorMessage()?.to_string_lossy() })
}

fn pairs(map: &impl Interface) -> Result<BTreeMap<String, String>> {
    let map: IIterable<IKeyValuePair<HSTRING, HSTRING>> = map.cast()?;
    let mut pairs = BTreeMap::new();
    let entries = map.First()?;
    while entries.HasCurrent()? {
        let entry = entries.Current()?;
        pairs.insert(entry.Key()?.to_string_lossy(), entry.Value()?.to_string_lossy());
        entries.MoveNext()?;
    }
    Ok(pairs)
}
