//! The objects for callers: data, and a count of live objects.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use windows_collections::*;
use windows_core::*;
use windows_future::{IAsyncAction, IAsyncOperation};

use crate::bindings::*;
use crate::live::Live;
use crate::operation::done;
use crate::script::{self, Account};

pub(crate) const NOT_IMPLEMENTED: HRESULT = HRESULT(0x8000_4001_u32 as i32);
const OUT_OF_BOUNDS: HRESULT = HRESULT(0x8000_000b_u32 as i32);

pub(crate) fn not_implemented<T>() -> Result<T> {
    Err(NOT_IMPLEMENTED.into())
}

/// Properties that an app reads and writes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Properties(Arc<Mutex<BTreeMap<HSTRING, HSTRING>>>);

impl Properties {
    pub(crate) fn of(pairs: &BTreeMap<String, String>) -> Self {
        let pairs = pairs.iter().map(|(name, value)| (name.into(), value.into()));
        Self(Arc::new(Mutex::new(pairs.collect())))
    }

    pub(crate) fn snapshot(&self) -> BTreeMap<HSTRING, HSTRING> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn map(&self) -> IMap<HSTRING, HSTRING> {
        PropertyMap(self.clone(), Live::default()).into()
    }
}

#[implement(IMap<HSTRING, HSTRING>, IIterable<IKeyValuePair<HSTRING, HSTRING>>)]
struct PropertyMap(Properties, Live);

impl PropertyMap {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<HSTRING, HSTRING>) -> T) -> T {
        act(&mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl IIterable_Impl<IKeyValuePair<HSTRING, HSTRING>> for PropertyMap_Impl {
    fn First(&self) -> Result<IIterator<IKeyValuePair<HSTRING, HSTRING>>> {
        IMapView::<HSTRING, HSTRING>::from(self.0.snapshot()).First()
    }
}

impl IMap_Impl<HSTRING, HSTRING> for PropertyMap_Impl {
    fn Lookup(&self, key: Ref<'_, HSTRING>) -> Result<HSTRING> {
        self.with(|map| map.get(&*key).cloned()).ok_or_else(|| OUT_OF_BOUNDS.into())
    }
    fn Size(&self) -> Result<u32> {
        Ok(self.with(|map| map.len() as u32))
    }
    fn HasKey(&self, key: Ref<'_, HSTRING>) -> Result<bool> {
        Ok(self.with(|map| map.contains_key(&*key)))
    }
    fn GetView(&self) -> Result<IMapView<HSTRING, HSTRING>> {
        Ok(self.0.snapshot().into())
    }
    fn Insert(&self, key: Ref<'_, HSTRING>, value: Ref<'_, HSTRING>) -> Result<bool> {
        Ok(self.with(|map| map.insert((*key).clone(), (*value).clone())).is_some())
    }
    fn Remove(&self, key: Ref<'_, HSTRING>) -> Result<()> {
        self.with(|map| map.remove(&*key));
        Ok(())
    }
    fn Clear(&self) -> Result<()> {
        self.with(BTreeMap::clear);
        Ok(())
    }
}

#[implement(IWebAccountProvider, IWebAccountProvider2)]
pub(crate) struct Provider {
    pub(crate) id: HSTRING,
    pub(crate) authority: HSTRING,
    pub(crate) _live: Live,
}

impl IWebAccountProvider_Impl for Provider_Impl {
    fn Id(&self) -> Result<HSTRING> {
        Ok(self.id.clone())
    }
    fn DisplayName(&self) -> Result<HSTRING> {
        Ok("a provider for tests".into())
    }
}

impl IWebAccountProvider2_Impl for Provider_Impl {
    fn DisplayPurpose(&self) -> Result<HSTRING> {
        Ok("tests".into())
    }
    fn Authority(&self) -> Result<HSTRING> {
        Ok(self.authority.clone())
    }
}

#[implement(IWebAccount, IWebAccount2)]
pub(crate) struct OneAccount {
    pub(crate) account: Account,
    pub(crate) provider: WebAccountProvider,
    pub(crate) _live: Live,
}

impl IWebAccount_Impl for OneAccount_Impl {
    fn WebAccountProvider(&self) -> Result<WebAccountProvider> {
        Ok(self.provider.clone())
    }
    fn UserName(&self) -> Result<HSTRING> {
        Ok((&self.account.user_name).into())
    }
    fn State(&self) -> Result<WebAccountState> {
        Ok(WebAccountState::Connected)
    }
}

impl IWebAccount2_Impl for OneAccount_Impl {
    fn Id(&self) -> Result<HSTRING> {
        Ok((&self.account.id).into())
    }
    fn Properties(&self) -> Result<IMapView<HSTRING, HSTRING>> {
        Ok(Properties::of(&self.account.properties).snapshot().into())
    }
    fn SignOutAsync(&self) -> Result<IAsyncAction> {
        not_implemented()
    }
    fn SignOutWithClientIdAsync(&self, client_id: &HSTRING) -> Result<IAsyncAction> {
        let id = &self.account.id;
        script::log(&serde_json::json!({
            "call": "sign_out", "account": id, "client_id": client_id.to_string_lossy(),
        }));
        script::state().accounts.retain(|account| account.id != *id);
        Ok(IAsyncAction::ready(Ok(())))
    }
}

#[implement(IFindAllAccountsResult)]
pub(crate) struct AllAccounts {
    pub(crate) status: FindAllWebAccountsStatus,
    pub(crate) accounts: Vec<WebAccount>,
    pub(crate) _live: Live,
}

impl IFindAllAccountsResult_Impl for AllAccounts_Impl {
    fn Accounts(&self) -> Result<IVectorView<WebAccount>> {
        Ok(self.accounts.iter().cloned().map(Some).collect::<Vec<_>>().into())
    }
    fn Status(&self) -> Result<FindAllWebAccountsStatus> {
        Ok(self.status)
    }
    fn ProviderError(&self) -> Result<WebProviderError> {
        if self.status == FindAllWebAccountsStatus::ProviderError {
            return ProviderFault::object(0x8000_4005, "the list is broken");
        }
        Err(Error::empty())
    }
}

#[implement(IWebTokenRequest, IWebTokenRequest3)]
pub(crate) struct TokenRequest {
    pub(crate) provider: WebAccountProvider,
    pub(crate) scope: HSTRING,
    pub(crate) client_id: HSTRING,
    pub(crate) prompt: WebTokenRequestPromptType,
    pub(crate) properties: Properties,
    pub(crate) correlation_id: Mutex<HSTRING>,
    pub(crate) _live: Live,
}

impl IWebTokenRequest_Impl for TokenRequest_Impl {
    fn WebAccountProvider(&self) -> Result<WebAccountProvider> {
        Ok(self.provider.clone())
    }
    fn Scope(&self) -> Result<HSTRING> {
        Ok(self.scope.clone())
    }
    fn ClientId(&self) -> Result<HSTRING> {
        Ok(self.client_id.clone())
    }
    fn PromptType(&self) -> Result<WebTokenRequestPromptType> {
        Ok(self.prompt)
    }
    fn Properties(&self) -> Result<IMap<HSTRING, HSTRING>> {
        Ok(self.properties.map())
    }
}

impl IWebTokenRequest3_Impl for TokenRequest_Impl {
    fn CorrelationId(&self) -> Result<HSTRING> {
        Ok(self.correlation_id.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
    fn SetCorrelationId(&self, value: &HSTRING) -> Result<()> {
        value.clone_into(&mut self.correlation_id.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

#[implement(IWebTokenResponse)]
pub(crate) struct TokenResponse {
    pub(crate) token: String,
    pub(crate) account: Option<WebAccount>,
    pub(crate) properties: Properties,
    pub(crate) _live: Live,
}

impl IWebTokenResponse_Impl for TokenResponse_Impl {
    fn Token(&self) -> Result<HSTRING> {
        Ok((&self.token).into())
    }
    fn ProviderError(&self) -> Result<WebProviderError> {
        Err(Error::empty())
    }
    fn WebAccount(&self) -> Result<WebAccount> {
        self.account.clone().ok_or_else(Error::empty)
    }
    fn Properties(&self) -> Result<IMap<HSTRING, HSTRING>> {
        Ok(self.properties.map())
    }
}

#[implement(IWebProviderError)]
pub(crate) struct ProviderFault(u32, String, Live);

impl ProviderFault {
    fn object(code: u32, message: &str) -> Result<WebProviderError> {
        let fault: IWebProviderError = Self(code, message.to_owned(), Live::default()).into();
        fault.cast()
    }
}

impl IWebProviderError_Impl for ProviderFault_Impl {
    fn ErrorCode(&self) -> Result<u32> {
        Ok(self.0)
    }
    fn ErrorMessage(&self) -> Result<HSTRING> {
        Ok((&self.1).into())
    }
    fn Properties(&self) -> Result<IMap<HSTRING, HSTRING>> {
        not_implemented()
    }
}

#[implement(IWebTokenRequestResult)]
pub(crate) struct RequestResult {
    pub(crate) status: WebTokenRequestStatus,
    pub(crate) response: Option<WebTokenResponse>,
    pub(crate) error: Option<(u32, String)>,
    pub(crate) _live: Live,
}

impl RequestResult {
    pub(crate) fn object(self) -> Result<WebTokenRequestResult> {
        let result: IWebTokenRequestResult = self.into();
        result.cast()
    }
}

impl IWebTokenRequestResult_Impl for RequestResult_Impl {
    fn ResponseData(&self) -> Result<IVectorView<WebTokenResponse>> {
        Ok(self.response.iter().cloned().map(Some).collect::<Vec<_>>().into())
    }
    fn ResponseStatus(&self) -> Result<WebTokenRequestStatus> {
        Ok(self.status)
    }
    fn ResponseError(&self) -> Result<WebProviderError> {
        // A null name is usual.
        let (code, message) = self.error.as_ref().ok_or_else(Error::empty)?;
        ProviderFault::object(*code, message)
    }
    fn InvalidateCacheAsync(&self) -> Result<IAsyncAction> {
        script::log(&serde_json::json!({ "call": "invalidate" }));
        script::state().issued += 1;
        Ok(IAsyncAction::ready(Ok(())))
    }
}

/// A completed operation with this result, or null.
pub(crate) fn found<T: RuntimeType + Clone + 'static>(
    result: Option<T>,
) -> Result<IAsyncOperation<T>> {
    done(result.ok_or_else(Error::empty))
}
