use std::sync::Arc;

use crate::accounts::connected_accounts::ConnectedAccounts;
use crate::effects::{Clock, Random, SignInUi};
use crate::provider::providers::Providers;
use crate::refresh::shared_token_cache::SharedTokenCache;
use crate::refresh::silent_tokens::SilentTokens;

/// The rooms and the effects that a sign-in uses.
pub(crate) struct Services {
    pub(crate) accounts: Arc<ConnectedAccounts>,
    pub(crate) providers: Arc<Providers>,
    pub(crate) silent: Arc<SilentTokens>,
    pub(crate) cache: Arc<SharedTokenCache>,
    pub(crate) ui: Arc<dyn SignInUi>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    /// The loopback port that receives the answers of browsers on other machines.
    pub(crate) forwarded_port: u16,
}
