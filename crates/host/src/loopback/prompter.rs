use std::sync::Arc;

use async_trait::async_trait;
use keybearer_core::Result;
use keybearer_engine::{Prompter, Random, SignIn, SignInPrompt};

use super::desk::Desk;
use super::listener::Listener;
use super::place::Place;
use super::session::LoopbackSignIn;
use crate::browser::{Launch, UserAgent};
use crate::callers_browser::CallersBrowser;
use crate::random::random_hex;

/// Signs people in with their own browser and a listener on the loopback interface.
#[derive(Clone, Debug)]
pub struct LoopbackPrompter {
    agent: Arc<dyn UserAgent>,
    random: Arc<dyn Random>,
}

impl LoopbackPrompter {
    /// Shows pages with `agent`.
    #[must_use]
    pub fn new(agent: Arc<dyn UserAgent>, random: Arc<dyn Random>) -> Self {
        Self { agent, random }
    }
}

impl LoopbackPrompter {
    fn session(
        &self,
        place: Place,
        prompt: &SignInPrompt,
        agent: Arc<dyn UserAgent>,
    ) -> Box<dyn SignIn> {
        let (nonce, token) = (random_hex(&*self.random, 16), random_hex(&*self.random, 16));
        let (desk, arrivals) = Desk::new(&place.redirect_uri, &nonce, token);
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
    fn agent(&self, prompt: &SignInPrompt) -> Arc<dyn UserAgent> {
        match prompt.presenter.as_ref().filter(|presenter| presenter.abilities().browser) {
            Some(presenter) => Arc::new(CallersBrowser(Arc::clone(presenter))),
            None => Arc::clone(&self.agent),
        }
    }
}

#[async_trait]
impl Prompter for LoopbackPrompter {
    async fn open(&self, prompt: &SignInPrompt) -> Result<Box<dyn SignIn>> {
        let place = Place::bind(prompt.redirect_uri.as_ref()).await?;
        let agent = self.agent(prompt);
        agent.check()?;
        Ok(self.session(place, prompt, agent))
    }

    async fn listen(&self, prompt: &SignInPrompt) -> Result<Box<dyn SignIn>> {
        let place = Place::bind(prompt.redirect_uri.as_ref()).await?;
        Ok(self.session(place, prompt, Arc::clone(&self.agent)))
    }
}
