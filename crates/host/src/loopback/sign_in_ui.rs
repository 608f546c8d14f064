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
    agent: Arc<dyn BrowserLauncher>,
    random: Arc<dyn Random>,
}

impl LoopbackUi {
    /// Shows pages with `agent`.
    #[must_use]
    pub fn new(agent: Arc<dyn BrowserLauncher>, random: Arc<dyn Random>) -> Self {
        Self { agent, random }
    }
}

impl LoopbackUi {
    fn session(
        &self,
        place: RedirectTarget,
        prompt: &SignInPrompt,
        agent: Arc<dyn BrowserLauncher>,
    ) -> Box<dyn SignIn> {
        let (nonce, token) = (random_hex(&*self.random, 16), random_hex(&*self.random, 16));
        let (desk, arrivals) = SignInServer::new(&place.redirect_uri, &nonce, token);
        let listener =
            Listener::start(place.listeners, Arc::clone(&desk), Arc::clone(&self.random));
        Box::new(LoopbackSignIn {
            prompt: prompt.clone(),
            redirect_uri: place.redirect_uri,
            agent,
            desk,
            arrivals,
            listener,
            waiting: None,
            launch: Launch::default(),
        })
    }

    /// The person's browser is where the caller is, if it can open one.
    fn agent(&self, prompt: &SignInPrompt) -> Arc<dyn BrowserLauncher> {
        match prompt.caller_ui.as_ref().filter(|caller_ui| caller_ui.abilities().browser) {
            Some(caller_ui) => Arc::new(CallersBrowser(Arc::clone(caller_ui))),
            None => Arc::clone(&self.agent),
        }
    }
}

#[async_trait]
impl SignInUi for LoopbackUi {
    async fn open(&self, prompt: &SignInPrompt) -> Result<Box<dyn SignIn>> {
        let place = RedirectTarget::bind(prompt.redirect_uri.as_ref()).await?;
        let agent = self.agent(prompt);
        agent.check()?;
        Ok(self.session(place, prompt, agent))
    }

    async fn listen(&self, prompt: &SignInPrompt) -> Result<Box<dyn SignIn>> {
        let place = RedirectTarget::bind(prompt.redirect_uri.as_ref()).await?;
        Ok(self.session(place, prompt, Arc::clone(&self.agent)))
    }
}
