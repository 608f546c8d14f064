//! The two factories, and the handling of requests.

use std::ffi::c_void;

use serde_json::json;
use windows_core::*;
use windows_future::IAsyncOperation;

use crate::bindings::*;
use crate::live::Live;
use crate::objects::*;
use crate::operation::{done, later, never};
use crate::script::{self, Account, Behaviour, Listing, ScriptedAccounts};

const INVALID_ARGUMENT: u32 = 0x8007_0057;
const INVALID_WINDOW: HRESULT = HRESULT(0x8007_0578_u32 as i32);
const POINTER: HRESULT = HRESULT(0x8000_4003_u32 as i32);
/// Far longer than a caller with a deadline waits.
const STUCK: std::time::Duration = std::time::Duration::from_secs(2);
const MICROSOFT: &str = "https://login.microsoft.com";
const LOCAL: &str = "https://login.windows.local";

/// `IWebAuthenticationCoreManagerInterop`, whose three inherited functions are part of the table.
#[interface("F4B8E804-811E-4436-B69C-44CB67B72084")]
pub(crate) unsafe trait IInterop: IUnknown {
    unsafe fn GetIids(&self, count: *mut u32, ids: *mut *mut c_void) -> HRESULT;
    unsafe fn GetRuntimeClassName(&self, name: *mut *mut c_void) -> HRESULT;
    unsafe fn GetTrustLevel(&self, level: *mut i32) -> HRESULT;
    unsafe fn RequestTokenForWindowAsync(
        &self,
        window: *mut c_void,
        request: *mut c_void,
        id: *const GUID,
        out: *mut *mut c_void,
    ) -> HRESULT;
    unsafe fn RequestTokenWithWebAccountForWindowAsync(
        &self,
        window: *mut c_void,
        request: *mut c_void,
        account: *mut c_void,
        id: *const GUID,
        out: *mut *mut c_void,
    ) -> HRESULT;
}

#[implement(
    IActivationFactory,
    IWebAuthenticationCoreManagerStatics,
    IWebAuthenticationCoreManagerStatics4,
    IInterop
)]
#[derive(Default)]
pub(crate) struct Manager(Live);

impl IActivationFactory_Impl for Manager_Impl {
    fn ActivateInstance(&self) -> Result<IInspectable> {
        let _ = &self.0;
        not_implemented()
    }
}

impl IWebAuthenticationCoreManagerStatics_Impl for Manager_Impl {
    fn GetTokenSilentlyAsync(
        &self,
        request: Ref<'_, WebTokenRequest>,
    ) -> Result<IAsyncOperation<WebTokenRequestResult>> {
        TokenCall { call: "silent", window: 0, account: None }.answer(request.ok()?)
    }
    fn GetTokenSilentlyWithWebAccountAsync(
        &self,
        request: Ref<'_, WebTokenRequest>,
        account: Ref<'_, WebAccount>,
    ) -> Result<IAsyncOperation<WebTokenRequestResult>> {
        let account = Some(account.ok()?.Id()?.to_string_lossy());
        TokenCall { call: "silent", window: 0, account }.answer(request.ok()?)
    }
    // Programs of the desktop must not call the next two.
    fn RequestTokenAsync(
        &self,
        _: Ref<'_, WebTokenRequest>,
    ) -> Result<IAsyncOperation<WebTokenRequestResult>> {
        not_implemented()
    }
    fn RequestTokenWithWebAccountAsync(
        &self,
        _: Ref<'_, WebTokenRequest>,
        _: Ref<'_, WebAccount>,
    ) -> Result<IAsyncOperation<WebTokenRequestResult>> {
        not_implemented()
    }
    fn FindAccountAsync(
        &self,
        provider: Ref<'_, WebAccountProvider>,
        id: &HSTRING,
    ) -> Result<IAsyncOperation<WebAccount>> {
        let id = id.to_string_lossy();
        let state = script::state();
        let account = state.accounts.iter().find(|account| account.id == id).cloned();
        drop(state);
        found(account.map(|account| object(account, provider.ok()?)).transpose()?)
    }
    fn FindAccountProviderAsync(
        &self,
        id: &HSTRING,
    ) -> Result<IAsyncOperation<WebAccountProvider>> {
        let session = script::state().script.session.clone();
        let known = id.to_string_lossy() == LOCAL;
        found(session.filter(|_| known).map(|own| provider(id, &own.into())).transpose()?)
    }
    fn FindAccountProviderWithAuthorityAsync(
        &self,
        id: &HSTRING,
        authority: &HSTRING,
    ) -> Result<IAsyncOperation<WebAccountProvider>> {
        let absent = script::state().script.no_providers || id.to_string_lossy() != MICROSOFT;
        found((!absent).then(|| provider(id, authority)).transpose()?)
    }
}

impl IWebAuthenticationCoreManagerStatics4_Impl for Manager_Impl {
    fn FindAllAccountsAsync(
        &self,
        _: Ref<'_, WebAccountProvider>,
    ) -> Result<IAsyncOperation<FindAllAccountsResult>> {
        not_implemented()
    }
    fn FindAllAccountsWithClientIdAsync(
        &self,
        provider: Ref<'_, WebAccountProvider>,
        client_id: &HSTRING,
    ) -> Result<IAsyncOperation<FindAllAccountsResult>> {
        script::log(&json!({ "call": "list", "client_id": client_id.to_string_lossy() }));
        let state = script::state();
        let (listing, accounts) = (state.script.listing, state.accounts.clone());
        drop(state);
        let (status, accounts) = match listing {
            Listing::All => (FindAllWebAccountsStatus::Success, accounts),
            Listing::Refused => (FindAllWebAccountsStatus::NotAllowedByProvider, Vec::new()),
            Listing::Error => (FindAllWebAccountsStatus::ProviderError, Vec::new()),
        };
        let provider = provider.ok()?;
        let accounts = accounts.into_iter().map(|account| object(account, provider));
        let accounts = accounts.collect::<Result<_>>()?;
        let all: IFindAllAccountsResult =
            AllAccounts { status, accounts, _live: Live::default() }.into();
        done(all.cast())
    }
    fn FindSystemAccountProviderAsync(
        &self,
        _: &HSTRING,
    ) -> Result<IAsyncOperation<WebAccountProvider>> {
        self.no_system_account()
    }
    fn FindSystemAccountProviderWithAuthorityAsync(
        &self,
        _: &HSTRING,
        _: &HSTRING,
    ) -> Result<IAsyncOperation<WebAccountProvider>> {
        self.no_system_account()
    }
}

impl Manager_Impl {
    /// For accounts of the system, which user programs may not use.
    fn no_system_account(&self) -> Result<IAsyncOperation<WebAccountProvider>> {
        not_implemented()
    }
}

impl IInterop_Impl for Manager_Impl {
    unsafe fn GetIids(&self, _: *mut u32, _: *mut *mut c_void) -> HRESULT {
        NOT_IMPLEMENTED
    }
    unsafe fn GetRuntimeClassName(&self, _: *mut *mut c_void) -> HRESULT {
        NOT_IMPLEMENTED
    }
    unsafe fn GetTrustLevel(&self, level: *mut i32) -> HRESULT {
        // SAFETY: the caller's promise.
        unsafe { *level = 0 };
        HRESULT(0)
    }
    unsafe fn RequestTokenForWindowAsync(
        &self,
        window: *mut c_void,
        request: *mut c_void,
        id: *const GUID,
        out: *mut *mut c_void,
    ) -> HRESULT {
        // SAFETY: the caller's promises.
        unsafe { for_window(window, request, None, (id, out)) }
    }
    unsafe fn RequestTokenWithWebAccountForWindowAsync(
        &self,
        window: *mut c_void,
        request: *mut c_void,
        account: *mut c_void,
        id: *const GUID,
        out: *mut *mut c_void,
    ) -> HRESULT {
        // SAFETY: the caller's promises.
        unsafe {
            let Some(account) = IInspectable::from_raw_borrowed(&account) else { return POINTER };
            match account.cast::<WebAccount>().and_then(|account| account.Id()) {
                Ok(account) => {
                    for_window(window, request, Some(account.to_string_lossy()), (id, out))
                }
                Err(error) => error.code(),
            }
        }
    }
}

unsafe fn for_window(
    window: *mut c_void,
    request: *mut c_void,
    account: Option<String>,
    (id, out): (*const GUID, *mut *mut c_void),
) -> HRESULT {
    // SAFETY: any handle may be passed; the pointers are the caller's promise.
    unsafe {
        if !IsWindow(Some(HWND(window))).as_bool() {
            return INVALID_WINDOW;
        }
        let Some(request) = IInspectable::from_raw_borrowed(&request) else { return POINTER };
        let call = TokenCall { call: "interactive", window: window as usize, account };
        match request.cast().and_then(|request| call.answer(&request)) {
            Ok(operation) => operation.query(id, out),
            Err(error) => error.code(),
        }
    }
}

/// A call for a token: the function, the parent window and the account.
struct TokenCall {
    call: &'static str,
    window: usize,
    account: Option<String>,
}

impl TokenCall {
    fn answer(self, request: &WebTokenRequest) -> Result<IAsyncOperation<WebTokenRequestResult>> {
        let wrong = self.record(request)?;
        let behaviour = {
            let script = &script::state().script;
            let interactive = self.call == "interactive";
            if interactive { script.interactive.clone() } else { script.silent.clone() }
        };
        let (status, error) = match behaviour {
            _ if wrong.is_some() => {
                let message = format!("wrong request: {}", wrong.unwrap_or_default());
                (WebTokenRequestStatus::ProviderError, Some((INVALID_ARGUMENT, message)))
            }
            Behaviour::Never => return Ok(never()),
            Behaviour::Stuck => {
                std::thread::sleep(STUCK);
                return not_implemented();
            }
            Behaviour::Fails { code } => return later(Err(HRESULT(code as i32).into())),
            Behaviour::Token => return self.token(request, WebTokenRequestStatus::Success),
            Behaviour::Switch => return self.token(request, WebTokenRequestStatus::AccountSwitch),
            Behaviour::Garbage => (WebTokenRequestStatus::Success, None),
            Behaviour::Cancel => (WebTokenRequestStatus::UserCancel, None),
            Behaviour::Interaction => {
                (WebTokenRequestStatus::UserInteractionRequired, Some((0xcaa2_000c, "ask".into())))
            }
            Behaviour::Error { code, message } => {
                (WebTokenRequestStatus::ProviderError, Some((code, message)))
            }
        };
        later(RequestResult { status, response: None, error, _live: Live::default() }.object())
    }

    /// Logs the request. Returns what the real provider would not accept about it.
    fn record(&self, request: &WebTokenRequest) -> Result<Option<&'static str>> {
        let mut properties = serde_json::Map::new();
        for pair in request.Properties()? {
            properties
                .insert(pair.Key()?.to_string_lossy(), pair.Value()?.to_string_lossy().into());
        }
        let authority = request.WebAccountProvider()?.Authority()?.to_string_lossy();
        let (mut kind, mut qualifier) = (Default::default(), Default::default());
        // SAFETY: two places to write to.
        let apartment = unsafe { CoGetApartmentType(&mut kind, &mut qualifier) };
        let scope = request.Scope()?.to_string_lossy();
        let correlation_id = request.CorrelationId()?;
        script::log(&json!({
            "call": self.call,
            "window": self.window,
            "account": self.account,
            "provider": authority,
            "scope": scope,
            "client_id": request.ClientId()?.to_string_lossy(),
            "prompt": request.PromptType()?.0,
            "correlation_id": correlation_id.to_string_lossy(),
            "multithreaded": apartment.is_ok() && kind == APTTYPE_MTA,
            "properties": properties,
        }));
        let property = |name: &str| properties.get(name).and_then(|value| value.as_str());
        let compatible = match authority.as_str() {
            "consumers" => property("api-version") == Some("2.0"),
            _ => property("wam_compat") == Some("2.0"),
        };
        Ok(if !compatible {
            Some("the version of the protocol")
        } else if !property("authority").is_some_and(|text| text.starts_with("https://")) {
            Some("the authority")
        } else if !scope.split(' ').any(|scope| scope == "openid") {
            Some("the scope of sign-in")
        } else if correlation_id.len() != 36 {
            Some("the correlation id")
        } else {
            None
        })
    }

    fn token(
        self,
        request: &WebTokenRequest,
        status: WebTokenRequestStatus,
    ) -> Result<IAsyncOperation<WebTokenRequestResult>> {
        let mut state = script::state();
        let account = match (self.call, &self.account) {
            ("interactive", _) => state.sign_in(),
            (_, Some(id)) => state.accounts.iter().find(|account| account.id == *id).cloned(),
            (_, None) => state.accounts.first().cloned(),
        };
        let Some(account) = account else {
            drop(state);
            let status = if self.call == "interactive" {
                return Ok(never());
            } else {
                WebTokenRequestStatus::UserInteractionRequired
            };
            let error = Some((0xcaa2_000c, "no account".to_owned()));
            let _live = Live::default();
            return later(RequestResult { status, response: None, error, _live }.object());
        };
        let last = state.script.tokens.len().saturating_sub(1);
        let token = state.script.tokens.get(state.issued.min(last)).cloned();
        let mut properties = state.script.properties.clone();
        drop(state);
        let token = token.unwrap_or_else(|| format!("token-of-{}", account.id));
        properties.entry("TokenExpiresOn".into()).or_insert_with(in_an_hour);
        let response: IWebTokenResponse = TokenResponse {
            token,
            account: Some(object(account, &request.WebAccountProvider()?)?),
            properties: Properties::of(&properties),
            _live: Live::default(),
        }
        .into();
        let response = Some(response.cast()?);
        later(RequestResult { status, response, error: None, _live: Live::default() }.object())
    }
}

impl ScriptedAccounts {
    /// Signs in the person of the script, whose account is connected from then on.
    fn sign_in(&mut self) -> Option<Account> {
        let person = self.script.person.clone()?;
        self.accounts.retain(|account| account.id != person.id);
        self.accounts.insert(0, person.clone());
        Some(person)
    }
}

/// Seconds since 1601.
fn in_an_hour() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    (now.unwrap_or_default().as_secs() + 11_644_473_600 + 3600).to_string()
}

fn object(account: Account, provider: &WebAccountProvider) -> Result<WebAccount> {
    let account: IWebAccount =
        OneAccount { account, provider: provider.clone(), _live: Live::default() }.into();
    account.cast()
}

fn provider(id: &HSTRING, authority: &HSTRING) -> Result<WebAccountProvider> {
    let provider: IWebAccountProvider =
        Provider { id: id.clone(), authority: authority.clone(), _live: Live::default() }.into();
    provider.cast()
}

#[implement(IActivationFactory, IWebTokenRequestFactory)]
#[derive(Default)]
pub(crate) struct Requests(Live);

impl IActivationFactory_Impl for Requests_Impl {
    fn ActivateInstance(&self) -> Result<IInspectable> {
        let _ = &self.0;
        not_implemented()
    }
}

impl IWebTokenRequestFactory_Impl for Requests_Impl {
    fn Create(
        &self,
        _: Ref<'_, WebAccountProvider>,
        _: &HSTRING,
        _: &HSTRING,
    ) -> Result<WebTokenRequest> {
        not_implemented()
    }
    fn CreateWithPromptType(
        &self,
        provider: Ref<'_, WebAccountProvider>,
        scope: &HSTRING,
        client_id: &HSTRING,
        prompt: WebTokenRequestPromptType,
    ) -> Result<WebTokenRequest> {
        let request: IWebTokenRequest = TokenRequest {
            provider: provider.ok()?.clone(),
            scope: scope.clone(),
            client_id: client_id.clone(),
            prompt,
            properties: Properties::default(),
            correlation_id: Default::default(),
            _live: Live::default(),
        }
        .into();
        request.cast()
    }
    fn CreateWithProvider(&self, _: Ref<'_, WebAccountProvider>) -> Result<WebTokenRequest> {
        not_implemented()
    }
    fn CreateWithScope(
        &self,
        _: Ref<'_, WebAccountProvider>,
        _: &HSTRING,
    ) -> Result<WebTokenRequest> {
        not_implemented()
    }
}
