//! A sign-in window of our own, for apps whose only redirect URI is an address at which nothing
//! listens: `https://login.microsoftonline.com/common/oauth2/nativeclient`.
//!
//! The window is an installed Chromium, Chrome or Edge with a profile that belongs to the broker. It
//! is controlled through a DevTools pipe, two file descriptors that only this process holds: there is
//! no port to which another process could connect. Every navigation to the redirect URI is stopped
//! before it leaves the machine, in every tab and pop-up, and its query is the answer. The page is
//! never loaded, so the code reaches neither the network nor the profile's history. The person signs
//! in on the provider's own page, and the provider's session stays in the profile: the next app needs
//! no password.
//!
//! The browser's own protection stays on. It is not started as root, because Chromium has no sandbox
//! there.

mod browser;
mod devtools;
mod profile;
mod sign_in;
mod sign_in_ui;
mod view;

pub(crate) use browser::WindowBrowser;
pub(crate) use profile::Profiles;
pub(crate) use sign_in_ui::WindowUi;
