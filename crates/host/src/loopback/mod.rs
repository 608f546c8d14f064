//! The place on this machine where the answer of a sign-in arrives: a web server on the loopback
//! interface that lives as long as one sign-in (RFC 8252 §7.3, §8.3; invariant I9).
//!
//! It is bound before anything is shown. Every hit on the redirect path is handed to the engine,
//! which alone judges it; the browser waits meanwhile. Hits queue, so a bad one does not keep the
//! good one out. Pages are plain HTML forms that work without JavaScript and load nothing.
//!
//! A sign-in begins on a page of ours: it says who asks, and lets the person choose an account if
//! there is a choice. The person's click there opens the provider's page in another tab, which
//! browsers allow at a click only, and our page stays open beside it. So closing either of them is
//! seen and ends the sign-in as cancelled. Where there is no script or no second tab, the provider's
//! page takes the place of ours: the sign-in works, but is not seen to be given up.

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
