use std::sync::Arc;

use async_trait::async_trait;
use keybearer_core::Result;
use keybearer_engine::{Prompter, Random, SignIn, SignInPrompt};

use super::desk::Desk;
use super::listener::Listener;
use super::place::Place;
use super::session::LoopbackSignIn;
use crate::browser::{Launch, UserAgent};
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

#[async_trait]
impl Prompter for LoopbackPrompter {
    async fn open(&self, prompt: &SignInPrompt) -> Result<Box<dyn SignIn>> {
        let place = Place::bind(prompt.redirect_uri.as_ref()).await?;
        self.agent.check()?;
        let (nonce, token) = (random_hex(&*self.random, 16), random_hex(&*self.random, 16));
        let (desk, arrivals) = Desk::new(&place.redirect_uri, &nonce, token);
        let listener =
            Listener::start(place.listeners, Arc::clone(&desk), Arc::clone(&self.random));
        Ok(Box::new(LoopbackSignIn {
            prompt: prompt.clone(),
            redirect_uri: place.redirect_uri,
            agent: Arc::clone(&self.agent),
            desk,
            arrivals,
            listener,
            waiting: None,
            launch: Launch::default(),
        }))
    }
}
