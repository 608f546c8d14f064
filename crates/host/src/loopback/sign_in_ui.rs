use std::sync::Arc;

use async_trait::async_trait;
use keybearer_core::Result;
use keybearer_engine::{Random, SignIn, SignInPrompt, SignInUi};

use super::listener::Listener;
use super::redirect_target::RedirectTarget;
use super::session::LoopbackSignIn;
use super::sign_in_server::SignInServer;
use crate::browser::{BrowserLauncher, Launch};
use crate::callers_browser::CallersBrowser;
use crate::random::random_hex;

/// Signs people in with their own browser and a listener on the loopback interface.
#[derive(Clone, Debug)]
pub struct LoopbackUi {
    launcher: Arc<dyn BrowserLauncher>,
    random: Arc<dyn Random>,
}

impl LoopbackUi {
    /// Opens pages with `launcher`.
    #[must_use]
    pub fn new(launcher: Arc<dyn BrowserLauncher>, random: Arc<dyn Random>) -> Self {
        Self { launcher, random }
    }
}

impl LoopbackUi {
    fn session(
        &self,
        target: RedirectTarget,
        prompt: &SignInPrompt,
        launcher: Arc<dyn BrowserLauncher>,
    ) -> Box<dyn SignIn> {
        let (nonce, token) = (random_hex(&*self.random, 16), random_hex(&*self.random, 16));
        let (server, events) = SignInServer::new(&target.redirect_uri, &nonce, token);
        let listener =
            Listener::start(target.listeners, Arc::clone(&server), Arc::clone(&self.random));
        Box::new(LoopbackSignIn {
            prompt: prompt.clone(),
            redirect_uri: target.redirect_uri,
            launcher,
            server,
            events,
            listener,
            pending_reply: None,
            launch: Launch::default(),
        })
    }

    /// The caller opens the browser if it can; it may run in another session than this process.
    fn launcher(&self, prompt: &SignInPrompt) -> Arc<dyn BrowserLauncher> {
        match prompt.caller_ui.as_ref().filter(|caller_ui| caller_ui.abilities().browser) {
            Some(caller_ui) => Arc::new(CallersBrowser(Arc::clone(caller_ui))),
            None => Arc::clone(&self.launcher),
        }
    }
}

#[async_trait]
impl SignInUi for LoopbackUi {
    async fn open(&self, prompt: &SignInPrompt) -> Result<Box<dyn SignIn>> {
        let target = RedirectTarget::bind(prompt.redirect_uri.as_ref()).await?;
        let launcher = self.launcher(prompt);
        launcher.check()?;
        Ok(self.session(target, prompt, launcher))
    }

    async fn listen(&self, prompt: &SignInPrompt) -> Result<Box<dyn SignIn>> {
        let target = RedirectTarget::bind(prompt.redirect_uri.as_ref()).await?;
        Ok(self.session(target, prompt, Arc::clone(&self.launcher)))
    }
}
