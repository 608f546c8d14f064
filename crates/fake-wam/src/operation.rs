//! Operations. Lookups complete at once. Token requests complete later, on another thread, as the real
//! ones do, or never.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use windows_core::*;
use windows_future::*;

use crate::bindings::WebTokenRequestResult;
use crate::live::Live;
use crate::objects::not_implemented;
use crate::script;

type Handler = AsyncOperationCompletedHandler<WebTokenRequestResult>;
type TokenOperation = IAsyncOperation<WebTokenRequestResult>;

/// An operation that is complete.
pub(crate) fn done<T: RuntimeType + Clone + 'static>(
    outcome: Result<T>,
) -> Result<IAsyncOperation<T>> {
    Ok(IAsyncOperation::ready(outcome))
}

/// An operation that completes a little later.
pub(crate) fn later(outcome: Result<WebTokenRequestResult>) -> Result<TokenOperation> {
    const LATER: Duration = Duration::from_millis(5);
    let completing = Completing::default().into_object();
    let operation: TokenOperation = completing.to_interface();
    let parcel = Parcel((completing, outcome));
    std::thread::spawn(move || {
        let parcel = parcel;
        let Parcel((completing, outcome)) = parcel;
        std::thread::sleep(LATER);
        completing.complete(outcome);
    });
    Ok(operation)
}

/// An operation that never completes, also if it is cancelled.
pub(crate) fn never() -> TokenOperation {
    Completing::default().into()
}

/// The objects of this DLL have atomic reference counts and no thread-local data.
struct Parcel<T>(T);

// SAFETY: see the type.
unsafe impl<T> Send for Parcel<T> {}

#[implement(IAsyncOperation<WebTokenRequestResult>, IAsyncInfo)]
#[derive(Default)]
struct Completing {
    state: Mutex<State>,
    _live: Live,
}

#[derive(Default)]
struct State {
    outcome: Option<Result<WebTokenRequestResult>>,
    handler: Option<Handler>,
}

impl State {
    fn status(&self) -> AsyncStatus {
        match &self.outcome {
            None => AsyncStatus::Started,
            Some(Ok(_)) => AsyncStatus::Completed,
            Some(Err(_)) => AsyncStatus::Error,
        }
    }
}

impl Completing {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Completing_Impl {
    fn complete(&self, outcome: Result<WebTokenRequestResult>) {
        self.with(|state| state.outcome = Some(outcome));
        self.tell();
    }

    /// Calls the handler once, as soon as there are both a handler and an outcome.
    fn tell(&self) {
        let ready = self.with(|state| {
            let status = state.status();
            (status != AsyncStatus::Started).then(|| (state.handler.take(), status))
        });
        if let Some((Some(handler), status)) = ready {
            let operation: TokenOperation = self.to_interface();
            let _ = handler.Invoke(&operation, status);
        }
    }
}

impl IAsyncOperation_Impl<WebTokenRequestResult> for Completing_Impl {
    fn SetCompleted(&self, handler: Ref<'_, Handler>) -> Result<()> {
        self.with(|state| state.handler = handler.cloned());
        self.tell();
        Ok(())
    }
    fn Completed(&self) -> Result<Handler> {
        self.with(|state| state.handler.clone()).ok_or_else(Error::empty)
    }
    fn GetResults(&self) -> Result<WebTokenRequestResult> {
        self.with(|state| state.outcome.clone()).unwrap_or_else(not_implemented)
    }
}

impl IAsyncInfo_Impl for Completing_Impl {
    fn Id(&self) -> Result<u32> {
        Ok(1)
    }
    fn Status(&self) -> Result<AsyncStatus> {
        Ok(self.with(|state| state.status()))
    }
    fn ErrorCode(&self) -> Result<HRESULT> {
        Ok(self.with(|state| match &state.outcome {
            Some(Err(error)) => error.code(),
            _ => HRESULT(0),
        }))
    }
    fn Cancel(&self) -> Result<()> {
        script::log(&serde_json::json!({ "call": "cancelled" }));
        Ok(())
    }
    fn Close(&self) -> Result<()> {
        Ok(())
    }
}
