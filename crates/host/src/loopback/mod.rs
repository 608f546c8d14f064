//! Signing in with the person's browser: a web server on the loopback interface receives the answer
//! of one sign-in (RFC 8252 §7.3, §8.3; invariant I9).
//!
//! The server listens before a page is opened. Every request to the redirect path is passed to the
//! engine, which decides whether it is the answer, while the browser waits. Requests queue, so a
//! wrong answer does not keep the right one out. Pages are plain HTML forms that work without
//! JavaScript and load nothing.
//!
//! A sign-in starts on a page of ours, which shows which program asks and lets the person choose an
//! account if there are several. The person's click there opens the provider's page in another tab
//! (browsers allow that only for a click), and our page stays open beside it. Closing either tab is
//! therefore noticed, and cancels the sign-in. Without scripts or a second tab, the provider's page
//! replaces ours: the sign-in works, but closing the page is not noticed.

#[cfg(unix)]
mod first_page;
mod listener;
mod pages;
mod redirect_target;
mod session;
mod sign_in_server;
mod sign_in_ui;
mod tab_watch;

#[cfg(unix)]
pub(crate) use first_page::FirstPage;
#[cfg(unix)]
pub(crate) use pages::Page;
pub(crate) use redirect_target::is_native_client;
pub use sign_in_ui::LoopbackUi;
