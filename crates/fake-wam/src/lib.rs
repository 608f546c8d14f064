//! A Web Account Manager for tests: a DLL that serves its two classes in a test's own process.
//!
//! It follows the file `script.json` in the directory `FAKE_WAM_DIR`. It writes the requests to
//! `log.jsonl` there, and the number of its live objects to `live`. It checks requests for what the real
//! provider rejects. Tests with it show that calls, threads and references are right; they do not show
//! that Windows or Entra accepts a request.
#![cfg(all(windows, feature = "provider"))]
#![allow(non_snake_case, reason = "the names of Windows")]

#[allow(warnings, clippy::all, reason = "generated")]
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}
mod live;
mod manager;
mod objects;
mod operation;
mod script;

use std::ffi::c_void;
use std::mem::ManuallyDrop;

use bindings::IActivationFactory;
use windows_core::{HRESULT, HSTRING, Interface};

use manager::{Manager, Requests};

const CLASS_NOT_AVAILABLE: HRESULT = HRESULT(0x8004_0111_u32 as i32);
const FALSE: HRESULT = HRESULT(1);

/// The runtime calls this for a class that is registered with this DLL.
///
/// # Safety
/// `class` is a borrowed string, and `factory` a place for an owned pointer.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn DllGetActivationFactory(
    class: ManuallyDrop<HSTRING>,
    factory: *mut *mut c_void,
) -> HRESULT {
    let made: IActivationFactory = match class.to_string_lossy().as_str() {
        "Windows.Security.Authentication.Web.Core.WebAuthenticationCoreManager" => {
            Manager::default().into()
        }
        "Windows.Security.Authentication.Web.Core.WebTokenRequest" => Requests::default().into(),
        _ => return CLASS_NOT_AVAILABLE,
    };
    // SAFETY: the caller's promise.
    unsafe { *factory = made.into_raw() };
    HRESULT(0)
}

/// The DLL stays loaded, because threads of operations that never complete may still run its code.
#[unsafe(no_mangle)]
pub extern "system" fn DllCanUnloadNow() -> HRESULT {
    FALSE
}
