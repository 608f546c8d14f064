//! Operations that complete later, on another thread, as the real ones do; and one that never does.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use windows_core::*;
use windows_future::*;

use crate::bindings::WebTokenRequestResult;
use crate::live::Live;
use crate::objects::not_implemented;
use crate::script;

/// Completes a little later, on a thread of the system.
pub(crate) fn done<T: RuntimeType + Clone + 'static>(
    outcome: Result<T>,
) -> Result<IAsyncOperation<T>> {
    const LATER: Duration = Duration::from_millis(5);
    let outcome = Parcel(outcome);
    Ok(IAsyncOperation::spawn(move || {
        let outcome = outcome;
        std::thread::sleep(LATER);
        outcome.0
    }))
}

/// The objects of this DLL are reference counted atomically and hold no thread's own data.
struct Parcel<T>(Result<T>);

// SAFETY: as said above.
unsafe impl<T> Send for Parcel<T> {}

/// Stays as it is, whatever anybody does.
#[implement(IAsyncOperation<WebTokenRequestResult>, IAsyncInfo)]
pub(crate) struct Never {
    handler: Mutex<Option<AsyncOperationCompletedHandler<WebTokenRequestResult>>>,
    _live: Live,
}

impl Never {
    pub(crate) fn operation() -> IAsyncOperation<WebTokenRequestResult> {
        Self { handler: Mutex::new(None), _live: Live::default() }.into()
    }
}

impl IAsyncOperation_Impl<WebTokenRequestResult> for Never_Impl {
    fn SetCompleted(
        &self,
        handler: Ref<'_, AsyncOperationCompletedHandler<WebTokenRequestResult>>,
    ) -> Result<()> {
        *self.handler.lock().unwrap_or_else(PoisonError::into_inner) = handler.cloned();
        script::log(&serde_json::json!({ "call": "waited_for" }));
        Ok(())
    }
    fn Completed(&self) -> Result<AsyncOperationCompletedHandler<WebTokenRequestResult>> {
        self.handler.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(Error::empty)
    }
    fn GetResults(&self) -> Result<WebTokenRequestResult> {
        not_implemented()
    }
}

impl IAsyncInfo_Impl for Never_Impl {
    fn Id(&self) -> Result<u32> {
        Ok(1)
    }
    fn Status(&self) -> Result<AsyncStatus> {
        Ok(AsyncStatus::Started)
    }
    fn ErrorCode(&self) -> Result<HRESULT> {
        Ok(HRESULT(0))
    }
    fn Cancel(&self) -> Result<()> {
        script::log(&serde_json::json!({ "call": "cancelled" }));
        Ok(())
    }
    fn Close(&self) -> Result<()> {
        Ok(())
    }
}
