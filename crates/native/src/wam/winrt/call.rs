//! One thread for each call. It belongs to the multithreaded apartment, so that completions come on
//! a thread of the system and no code has to pump messages, in every apartment that the caller's
//! thread may be in. A caller that gives up (its future is dropped: deadline, cancel) leaves at once;
//! the thread then cancels the operation and lets go of it, even if it never completes.

use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};

use tokio::sync::oneshot;
use windows::Win32::Foundation::E_ABORT;
use windows::Win32::System::Com::CoIncrementMTAUsage;
use windows::Win32::System::WinRT::{RO_INIT_MULTITHREADED, RoInitialize, RoUninitialize};
use windows::core::{HRESULT, Interface, Result, RuntimeType};
use windows_future::{
    AsyncActionCompletedHandler, AsyncOperationCompletedHandler, IAsyncAction, IAsyncInfo,
    IAsyncOperation,
};

use super::super::transport::SystemError;

/// A call on its thread.
#[derive(Debug)]
pub(super) struct Call {
    events: Receiver<Event>,
    completed: Sender<Event>,
}

#[derive(Debug)]
enum Event {
    Completed,
    GivenUp,
}

/// Gives the call up when the caller's future is dropped.
struct GiveUp(Sender<Event>);

impl Drop for GiveUp {
    fn drop(&mut self) {
        // If there is no receiver, the thread has ended.
        let _ = self.0.send(Event::GivenUp);
    }
}

/// Does the work on a separate thread.
pub(super) async fn run<T: Send + 'static>(
    work: impl FnOnce(&Call) -> Result<T> + Send + 'static,
) -> std::result::Result<T, SystemError> {
    let (completed, events) = channel();
    let give_up = GiveUp(completed.clone());
    let (answer, answered) = oneshot::channel();
    let body = move || {
        let outcome = Apartment::enter().and_then(|_apartment| work(&Call { events, completed }));
        // Nobody waits any more if the call was given up.
        let _ = answer.send(outcome);
    };
    let thread = std::thread::Builder::new().name("keybearer-wam".into()).spawn(body);
    thread.map_err(|error| SystemError { code: 0x8007_000e, message: error.to_string() })?;
    let outcome = answered.await;
    drop(give_up);
    let ended = || SystemError {
        code: E_ABORT.0 as u32,
        message: "the call ended without a result".into(),
    };
    outcome.map_err(|_| ended())?.map_err(system_error)
}

impl Call {
    /// The result of an operation, once it is there.
    pub(super) fn wait<T: RuntimeType>(&self, operation: &IAsyncOperation<T>) -> Result<T> {
        let completed = self.completed.clone();
        operation.SetCompleted(&AsyncOperationCompletedHandler::new(move |_, _| {
            let _ = completed.send(Event::Completed);
            Ok(())
        }))?;
        self.until_completed(&operation.cast()?)?;
        operation.GetResults()
    }

    /// As [`wait`](Self::wait), for what has no result.
    pub(super) fn wait_action(&self, action: &IAsyncAction) -> Result<()> {
        let completed = self.completed.clone();
        action.SetCompleted(&AsyncActionCompletedHandler::new(move |_, _| {
            let _ = completed.send(Event::Completed);
            Ok(())
        }))?;
        self.until_completed(&action.cast()?)?;
        action.GetResults()
    }

    fn until_completed(&self, operation: &IAsyncInfo) -> Result<()> {
        match self.events.recv() {
            Ok(Event::Completed) => Ok(()),
            _ => {
                // A wish only: whether the system still completes it is of no interest here.
                let _ = operation.Cancel();
                Err(E_ABORT.into())
            }
        }
    }
}

/// What may be null: the binding shows that as an error that is none.
pub(super) fn optional<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.code() == HRESULT(0) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `HRESULT` and its text.
fn system_error(error: windows::core::Error) -> SystemError {
    SystemError { code: error.code().0 as u32, message: error.message() }
}

/// This thread's membership in the multithreaded apartment.
struct Apartment;

impl Apartment {
    fn enter() -> Result<Self> {
        // The apartment is kept for as long as the process lives: operations that were given up
        // may still complete when the last thread of Keybearer has left it.
        static KEPT: OnceLock<Result<()>> = OnceLock::new();
        // SAFETY: takes no pointers; the cookie is not needed as the reference is never given back.
        KEPT.get_or_init(|| unsafe { CoIncrementMTAUsage() }.map(drop)).clone()?;
        // SAFETY: this thread is new and in no apartment yet; `drop` pairs the call.
        unsafe { RoInitialize(RO_INIT_MULTITHREADED) }?;
        Ok(Self)
    }
}

impl Drop for Apartment {
    fn drop(&mut self) {
        // SAFETY: pairs the successful call of `enter`, on the same thread: the value stays there,
        // and every object of the call is dropped before it.
        unsafe { RoUninitialize() };
    }
}
