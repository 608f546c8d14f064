//! The part that needs macOS: objects of the AuthenticationServices framework, on the main thread.
#![allow(unsafe_code, reason = "the framework is reached through Objective-C")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dispatch2::DispatchQueue;
use keybearer_core::{Error, Missing, Result};
use objc2::rc::Retained;
use objc2::runtime::{AnyObject, NSObjectProtocol, ProtocolObject};
use objc2::{
    AnyThread, DefinedClass, MainThreadMarker, MainThreadOnly, define_class, msg_send, sel,
};
use objc2_app_kit::{NSApplication, NSWindow};
use objc2_authentication_services::{
    ASAuthorization, ASAuthorizationController, ASAuthorizationControllerDelegate,
    ASAuthorizationControllerPresentationContextProviding, ASAuthorizationOperationLogin,
    ASAuthorizationOperationRefresh, ASAuthorizationRequest, ASAuthorizationSingleSignOnCredential,
    ASAuthorizationSingleSignOnProvider, ASAuthorizationSingleSignOnRequest,
};
use objc2_foundation::{
    NSArray, NSError, NSHTTPURLResponse, NSObject, NSString, NSURL, NSURLQueryItem,
    NSUnderlyingErrorKey,
};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::errors::{AUTHORIZATION, Failure, SEE_UNDERLYING};
use super::request::{Interface, Name, Operation};
use super::{Dictionary, Extension};

/// The extension of the software that manages this Mac's work accounts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SsoExtension;

/// Extensions say which providers' addresses they handle. This one stands for all of Entra's.
const PROVIDER: &str = "https://login.microsoftonline.com/common";

/// How long the main thread may take to get to our work. A program whose main thread runs no event
/// loop never does.
const MAIN_THREAD_LIMIT: Duration = Duration::from_secs(2);

type Outcome = Result<Dictionary>;

impl SsoExtension {
    /// Whether an extension handles Entra's accounts on this Mac.
    ///
    /// # Errors
    /// `Unavailable(Broker)` if none does.
    pub(crate) fn check(self) -> Result<()> {
        // SAFETY: the class has no requirement on threads; the argument is a valid URL.
        let can = provider().is_some_and(|provider| unsafe { provider.canPerformAuthorization() });
        can.then_some(()).ok_or_else(|| {
            Error::unavailable(Missing::Broker, "no extension of macOS handles work accounts")
                .with_hint("enrol this Mac with Company Portal, which brings one")
        })
    }
}

#[async_trait]
impl Extension for SsoExtension {
    async fn perform(&self, operation: Operation) -> Outcome {
        self.check()?;
        let number = next_number();
        let _giving_up = GivingUp(number);
        let (answer, answered) = oneshot::channel();
        let (begin, begun) = oneshot::channel();
        DispatchQueue::main().exec_async(move || {
            // The caller has left if the main thread was too late.
            if begin.send(()).is_ok() {
                start(number, &operation, answer);
            }
        });
        if !matches!(timeout(MAIN_THREAD_LIMIT, begun).await, Ok(Ok(()))) {
            let message = "could not ask macOS: the main thread of this program runs no event loop";
            return Err(Error::unavailable(Missing::Broker, message));
        }
        answered.await.unwrap_or_else(|_| Err(Error::cancelled("macOS ended the request")))
    }
}

fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Ends the request of this number, if it has not ended by itself.
struct GivingUp(u64);

impl Drop for GivingUp {
    fn drop(&mut self) {
        let number = self.0;
        DispatchQueue::main().exec_async(move || {
            let Some(Pending { controller, .. }) = end(number) else { return };
            // macOS 13 and newer.
            if controller.respondsToSelector(sel!(cancel)) {
                // SAFETY: it is the main thread, and the selector is there.
                unsafe { controller.cancel() };
            }
        });
    }
}

/// A request that is being performed. The controller holds its delegate weakly.
struct Pending {
    controller: Retained<ASAuthorizationController>,
    _delegate: Retained<Delegate>,
}

thread_local! {
    /// Of the main thread.
    static PENDING: RefCell<BTreeMap<u64, Pending>> = const { RefCell::new(BTreeMap::new()) };
}

fn end(number: u64) -> Option<Pending> {
    PENDING.with_borrow_mut(|pending| pending.remove(&number))
}

fn provider() -> Option<Retained<ASAuthorizationSingleSignOnProvider>> {
    let url = NSURL::URLWithString(&NSString::from_str(PROVIDER))?;
    // SAFETY: the argument is a valid URL.
    Some(unsafe {
        ASAuthorizationSingleSignOnProvider::authorizationProviderWithIdentityProviderURL(&url)
    })
}

/// Runs on the main thread.
fn start(number: u64, operation: &Operation, answer: oneshot::Sender<Outcome>) {
    let (Some(main_thread), Some(provider)) = (MainThreadMarker::new(), provider()) else {
        let _ = answer.send(Err(Error::internal(
            "could not perform the request: this is not the main thread",
        )));
        return;
    };
    let request = request_of(&provider, operation);
    let delegate = Delegate::new(main_thread, number, answer);
    let requests: Retained<NSArray<ASAuthorizationRequest>> =
        NSArray::from_retained_slice(&[Retained::into_super(Retained::into_super(request))]);
    // SAFETY: it is the main thread. The delegate lives as long as the controller: both are kept
    // until the request has ended.
    unsafe {
        let controller = ASAuthorizationController::initWithAuthorizationRequests(
            ASAuthorizationController::alloc(),
            &requests,
        );
        controller.setDelegate(Some(ProtocolObject::from_ref(&*delegate)));
        if operation.interface == Interface::Allowed {
            controller.setPresentationContextProvider(Some(ProtocolObject::from_ref(&*delegate)));
        }
        let pending = Pending { controller: controller.clone(), _delegate: delegate };
        PENDING.with_borrow_mut(|all| all.insert(number, pending));
        controller.performRequests();
    }
}

fn request_of(
    provider: &ASAuthorizationSingleSignOnProvider,
    operation: &Operation,
) -> Retained<ASAuthorizationSingleSignOnRequest> {
    let item = |(name, value): (&String, &String)| {
        NSURLQueryItem::queryItemWithName_value(
            &NSString::from_str(name),
            Some(&NSString::from_str(value)),
        )
    };
    let items: Vec<Retained<NSURLQueryItem>> = operation.options.iter().map(item).collect();
    // SAFETY: the constants are set by the framework before any of our code runs; the setters take
    // valid objects and copy them.
    unsafe {
        let request = provider.createRequest();
        match operation.name {
            Name::Login => request.setRequestedOperation(ASAuthorizationOperationLogin),
            Name::Refresh => request.setRequestedOperation(ASAuthorizationOperationRefresh),
            Name::Own(name) => request.setRequestedOperation(&NSString::from_str(name)),
        }
        request.setAuthorizationOptions(&NSArray::from_retained_slice(&items));
        // macOS 12 and newer.
        if request.respondsToSelector(sel!(setUserInterfaceEnabled:)) {
            request.setUserInterfaceEnabled(operation.interface == Interface::Allowed);
        }
        request
    }
}

struct Ivars {
    number: u64,
    answer: Cell<Option<oneshot::Sender<Outcome>>>,
}

define_class!(
    // SAFETY: NSObject has no requirements on its subclasses, and this one implements no Drop.
    #[unsafe(super(NSObject))]
    #[thread_kind = MainThreadOnly]
    #[name = "KeybearerAuthorizationDelegate"]
    #[ivars = Ivars]
    struct Delegate;

    // SAFETY: the protocol has no requirements.
    unsafe impl NSObjectProtocol for Delegate {}

    // SAFETY: the methods have the protocol's signatures.
    unsafe impl ASAuthorizationControllerDelegate for Delegate {
        #[unsafe(method(authorizationController:didCompleteWithAuthorization:))]
        fn completed(
            &self,
            _controller: &ASAuthorizationController,
            authorization: &ASAuthorization,
        ) {
            self.answer(dictionary_of(authorization));
        }

        #[unsafe(method(authorizationController:didCompleteWithError:))]
        fn failed(&self, _controller: &ASAuthorizationController, error: &NSError) {
            self.answer(Err(failure_of(error).into()));
        }
    }

    // SAFETY: the method has the protocol's signature.
    unsafe impl ASAuthorizationControllerPresentationContextProviding for Delegate {
        #[unsafe(method_id(presentationAnchorForAuthorizationController:))]
        fn anchor(&self, _controller: &ASAuthorizationController) -> Retained<NSWindow> {
            let main_thread = self.mtm();
            let application = NSApplication::sharedApplication(main_thread);
            let window = application.keyWindow().or_else(|| application.windows().firstObject());
            // A program without windows still has to name one.
            // SAFETY: it is the main thread.
            window.unwrap_or_else(|| unsafe { NSWindow::new(main_thread) })
        }
    }
);

impl Delegate {
    fn new(
        main_thread: MainThreadMarker,
        number: u64,
        answer: oneshot::Sender<Outcome>,
    ) -> Retained<Self> {
        let ivars = Ivars { number, answer: Cell::new(Some(answer)) };
        let this = Self::alloc(main_thread).set_ivars(ivars);
        // SAFETY: NSObject's `init` takes nothing and returns the object.
        unsafe { msg_send![super(this), init] }
    }

    fn answer(&self, outcome: Outcome) {
        if let Some(answer) = self.ivars().answer.take() {
            // The caller has left if the request was given up.
            let _ = answer.send(outcome);
        }
        // Not from inside of the controller's own call.
        let number = self.ivars().number;
        DispatchQueue::main().exec_async(move || drop(end(number)));
    }
}

/// The headers of the response that the extension makes are its reply.
fn dictionary_of(authorization: &ASAuthorization) -> Outcome {
    let odd = || Error::protocol("a response of the extension", "a credential without one");
    // SAFETY: reading properties of an object that the framework just made.
    let response: Retained<NSHTTPURLResponse> = unsafe {
        let credential = authorization.credential();
        let credential: &AnyObject = credential.as_ref();
        let credential =
            credential.downcast_ref::<ASAuthorizationSingleSignOnCredential>().ok_or_else(odd)?;
        credential.authenticatedResponse().ok_or_else(odd)?
    };
    let headers = response.allHeaderFields();
    let (names, values) = headers.to_vecs();
    let text = |object: &AnyObject| object.downcast_ref::<NSString>().map(ToString::to_string);
    let pairs = names.iter().zip(values.iter());
    Ok(pairs.filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect())
}

fn failure_of(error: &NSError) -> Failure {
    // SAFETY: the constant is set by the framework before any of our code runs.
    let underlying = error.userInfo().objectForKey(unsafe { NSUnderlyingErrorKey });
    let underlying = underlying.and_then(|object| object.downcast::<NSError>().ok());
    if let (SEE_UNDERLYING, Some(underlying)) = (error.code() as i64, underlying)
        && error.domain().to_string() == AUTHORIZATION
    {
        return failure_of(&underlying);
    }
    let detail = |name: &str| {
        let value = error.userInfo().objectForKey(&NSString::from_str(name))?;
        value.downcast::<NSString>().ok().map(|text| text.to_string())
    };
    Failure {
        domain: error.domain().to_string(),
        code: error.code() as i64,
        description: detail("MSIDErrorDescriptionKey")
            .unwrap_or_else(|| error.localizedDescription().to_string()),
        oauth_error: detail("MSIDOAuthErrorKey"),
        suberror: detail("MSIDOAuthSubErrorKey"),
    }
}
