pub(crate) mod accounts;
#[cfg_attr(not(target_os = "linux"), path = "broker_elsewhere.rs")]
pub(crate) mod broker;
pub(crate) mod completions;
pub(crate) mod doctor;
#[cfg(target_os = "linux")]
mod install;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod token;

/// The text below the help of a command.
fn below_help(examples: &str) -> String {
    format!("{examples}\n\n{}", crate::exit::EXIT_CODES)
}
