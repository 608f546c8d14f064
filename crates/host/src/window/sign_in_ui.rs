use std::sync::Arc;

use async_trait::async_trait;
use keybearer_core::{Error, Result};
use keybearer_engine::{Random, SignIn, SignInPrompt, SignInUi};
use url::Url;

use super::browser::WindowBrowser;
use super::profile::Profiles;
use super::sign_in::{OutcomeWindows, WindowSignIn};
use super::view::View;
use crate::environment::Environment;

/// Signs people in with a browser window of our own, which is watched for the redirect URI.
#[derive(Clone, Debug)]
pub(crate) struct WindowUi {
    environment: Environment,
    profiles: Profiles,
    random: Arc<dyn Random>,
    outcome_windows: Arc<OutcomeWindows>,
}

impl WindowUi {
    /// Finds the browser in `environment` for each sign-in.
    pub(crate) fn new(
        environment: Environment,
        profiles: Profiles,
        random: Arc<dyn Random>,
    ) -> Self {
        Self { environment, profiles, random, outcome_windows: Arc::default() }
    }
}

#[async_trait]
impl SignInUi for WindowUi {
    async fn open(&self, prompt: &SignInPrompt) -> Result<Box<dyn SignIn>> {
        let redirect_uri = prompt.redirect_uri.clone().filter(is_watchable).ok_or_else(|| {
            Error::invalid_request(
                "redirect_uri",
                "the app's redirect URI cannot be watched in a window",
            )
            .with_hint("register the native-client address or http://localhost for the app")
        })?;
        let browser = WindowBrowser::find(&self.environment)?;
        self.outcome_windows.close().await;
        let profile = self.profiles.take()?;
        let view = View::open(&browser, &self.environment, profile, &redirect_uri).await?;
        tracing::debug!(correlation_id = %prompt.correlation_id, "sign-in window opened");
        Ok(Box::new(WindowSignIn {
            prompt: prompt.clone(),
            redirect_uri,
            view,
            random: Arc::clone(&self.random),
            outcome_windows: Arc::clone(&self.outcome_windows),
            first_page: None,
        }))
    }
}

/// Whether an answer at this address can be recognized: https, without a query of its own.
fn is_watchable(url: &Url) -> bool {
    url.scheme() == "https" && url.query().is_none() && url.fragment().is_none()
}
