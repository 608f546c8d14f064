//! The activation factories, called through their tables of functions.
//!
//! The binding's own convenience functions are not used: where a class is not registered, they look
//! for a DLL named like its namespace on the search path and load it. On a Windows without Web
//! Account Manager any user who can put a file there could then take the sign-in over. A class that
//! the system does not know must stay unknown.

use std::ffi::c_void;

use windows::Security::Authentication::Web::Core::{
    FindAllAccountsResult, IWebAuthenticationCoreManagerStatics,
    IWebAuthenticationCoreManagerStatics4, IWebTokenRequestFactory, WebTokenRequest,
    WebTokenRequestPromptType, WebTokenRequestResult,
};
use windows::Security::Credentials::{WebAccount, WebAccountProvider};
use windows::Win32::Foundation::HWND;
use windows::Win32::System::WinRT::{IWebAuthenticationCoreManagerInterop, RoGetActivationFactory};
use windows::core::{HRESULT, HSTRING, Interface, Result};
use windows_future::IAsyncOperation;

use super::super::transport::{PromptType, Request};

pub(super) use windows_future::IAsyncOperation as Operation;

const MANAGER: &str = "Windows.Security.Authentication.Web.Core.WebAuthenticationCoreManager";
const TOKEN_REQUEST: &str = "Windows.Security.Authentication.Web.Core.WebTokenRequest";

/// `WebAuthenticationCoreManager`.
#[derive(Debug)]
pub(super) struct Manager(IWebAuthenticationCoreManagerStatics);

impl Manager {
    pub(super) fn activate() -> Result<Self> {
        activate(MANAGER).map(Self)
    }

    pub(super) fn find_provider(
        &self,
        id: &HSTRING,
        authority: Option<&HSTRING>,
    ) -> Result<IAsyncOperation<WebAccountProvider>> {
        let (this, table) = (self.0.as_raw(), self.0.vtable());
        // SAFETY: the table belongs to the object, which lives through the call, as do the strings;
        // the functions' signatures come from the metadata.
        unsafe {
            match authority {
                None => received(|out| (table.FindAccountProviderAsync)(this, raw(id), out)),
                Some(authority) => received(|out| {
                    let find = table.FindAccountProviderWithAuthorityAsync;
                    find(this, raw(id), raw(authority), out)
                }),
            }
        }
    }

    pub(super) fn find_account(
        &self,
        provider: &WebAccountProvider,
        id: &HSTRING,
    ) -> Result<IAsyncOperation<WebAccount>> {
        let (this, table) = (self.0.as_raw(), self.0.vtable());
        // SAFETY: as in `find_provider`; a provider is passed as its default interface, which is
        // what the binding's class type points to.
        unsafe { received(|out| (table.FindAccountAsync)(this, provider.as_raw(), raw(id), out)) }
    }

    pub(super) fn find_all_accounts(
        &self,
        provider: &WebAccountProvider,
        client_id: &HSTRING,
    ) -> Result<IAsyncOperation<FindAllAccountsResult>> {
        let manager: IWebAuthenticationCoreManagerStatics4 = self.0.cast()?;
        let (this, table) = (manager.as_raw(), manager.vtable());
        // SAFETY: as in `find_account`.
        unsafe {
            received(|out| {
                let find = table.FindAllAccountsWithClientIdAsync;
                find(this, provider.as_raw(), raw(client_id), out)
            })
        }
    }

    pub(super) fn token_silently(
        &self,
        request: &WebTokenRequest,
    ) -> Result<IAsyncOperation<WebTokenRequestResult>> {
        let (this, table) = (self.0.as_raw(), self.0.vtable());
        // SAFETY: as in `find_account`.
        unsafe { received(|out| (table.GetTokenSilentlyAsync)(this, request.as_raw(), out)) }
    }

    pub(super) fn token_silently_with_account(
        &self,
        request: &WebTokenRequest,
        account: &WebAccount,
    ) -> Result<IAsyncOperation<WebTokenRequestResult>> {
        let (this, table) = (self.0.as_raw(), self.0.vtable());
        // SAFETY: as in `find_account`.
        unsafe {
            received(|out| {
                let get = table.GetTokenSilentlyWithWebAccountAsync;
                get(this, request.as_raw(), account.as_raw(), out)
            })
        }
    }

    pub(super) fn token_for_window(
        &self,
        window: HWND,
        request: &WebTokenRequest,
    ) -> Result<IAsyncOperation<WebTokenRequestResult>> {
        let interop: IWebAuthenticationCoreManagerInterop = self.0.cast()?;
        // SAFETY: a window handle is no pointer; one that is no window (any more) is refused.
        unsafe { interop.RequestTokenForWindowAsync(window, request) }
    }

    pub(super) fn token_for_window_with_account(
        &self,
        window: HWND,
        request: &WebTokenRequest,
        account: &WebAccount,
    ) -> Result<IAsyncOperation<WebTokenRequestResult>> {
        let interop: IWebAuthenticationCoreManagerInterop = self.0.cast()?;
        // SAFETY: as in `token_for_window`.
        unsafe { interop.RequestTokenWithWebAccountForWindowAsync(window, request, account) }
    }
}

/// The factory of `WebTokenRequest`.
#[derive(Debug)]
pub(super) struct Requests(IWebTokenRequestFactory);

impl Requests {
    pub(super) fn activate() -> Result<Self> {
        activate(TOKEN_REQUEST).map(Self)
    }

    pub(super) fn create(
        &self,
        provider: &WebAccountProvider,
        request: &Request,
    ) -> Result<WebTokenRequest> {
        let (this, table) = (self.0.as_raw(), self.0.vtable());
        let scope = HSTRING::from(&request.scope);
        let client_id = HSTRING::from(request.client_id.as_str());
        let prompt = match request.prompt {
            PromptType::Default => WebTokenRequestPromptType::Default,
            PromptType::ForceAuthentication => WebTokenRequestPromptType::ForceAuthentication,
        };
        // SAFETY: as in `Manager::find_account`.
        let created: WebTokenRequest = unsafe {
            received(|out| {
                let create = table.CreateWithPromptType;
                create(this, provider.as_raw(), raw(&scope), raw(&client_id), prompt, out)
            })
        }?;
        let properties = created.Properties()?;
        for (name, value) in &request.properties {
            properties.Insert(&HSTRING::from(name), &HSTRING::from(value))?;
        }
        let correlation_id = HSTRING::from(request.correlation_id.as_str());
        // Windows before 10 1709 has no such member, but reads the property.
        if created.SetCorrelationId(&correlation_id).is_err() {
            properties.Insert(&HSTRING::from("correlationId"), &correlation_id)?;
        }
        Ok(created)
    }
}

fn activate<T: Interface>(class: &str) -> Result<T> {
    // SAFETY: the interface's own id is asked for, and what comes is owned by the returned value.
    unsafe { RoGetActivationFactory(&HSTRING::from(class)) }
}

/// The object a function hands out.
///
/// # Safety
/// When it succeeds, `call` must have written an owned pointer to a `T`, or null.
unsafe fn received<T: Interface>(call: impl FnOnce(*mut *mut c_void) -> HRESULT) -> Result<T> {
    let mut out = std::ptr::null_mut();
    call(&mut out).ok()?;
    if out.is_null() {
        return Err(windows::core::Error::empty());
    }
    // SAFETY: the caller's promise; it is not null.
    Ok(unsafe { T::from_raw(out) })
}

/// A string as functions take it: borrowed.
fn raw(text: &HSTRING) -> *mut c_void {
    // SAFETY: `HSTRING` is a transparent wrapper of this one pointer (null for empty text), and
    // the receiver only reads while the reference lives.
    unsafe { std::mem::transmute_copy(text) }
}
