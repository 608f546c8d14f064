//! What is known about identity providers: whether they may be used, their endpoints, their keys.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use http::header::RETRY_AFTER;
use keybearer_core::{
    Authority, AuthorityHost, ClientId, CorrelationId, Error, ErrorKind, Result, Timestamp,
};
use keybearer_protocol::Body;
use keybearer_protocol::instance::{self, Trust};
use keybearer_protocol::keys::{self, KeySet};
use keybearer_protocol::metadata::{self, ProviderMetadata};
use url::Url;

use crate::deadline::within;
use crate::effects::Effects;
use crate::flights::lock;

/// How long endpoints and keys are believed; a key that is missing is looked for at once.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// How long one exchange with a provider may take, whoever waits for it.
const EXCHANGE: Duration = Duration::from_secs(30);

pub(crate) struct Providers {
    trusted: BTreeSet<AuthorityHost>,
    confirmed: Mutex<HashSet<AuthorityHost>>,
    metadata: Mutex<HashMap<Authority, Dated<ProviderMetadata>>>,
    keys: Mutex<HashMap<Url, Dated<KeySet>>>,
}

struct Dated<T> {
    value: T,
    learned: Timestamp,
}

impl<T: Clone> Dated<T> {
    fn current(&self, now: Timestamp) -> Option<T> {
        (now.saturating_since(self.learned) < LIFETIME).then(|| self.value.clone())
    }
}

/// Sends one request, within the limit of an exchange.
pub(crate) async fn exchange(
    effects: &Effects,
    request: http::Request<Body>,
) -> Result<http::Response<Body>> {
    let host = request.uri().host().unwrap_or_default().to_owned();
    let what = format!("the exchange with {host}");
    within(&*effects.clock, EXCHANGE, &what, effects.http.send(request)).await.map_err(|error| {
        match error.kind() {
            ErrorKind::TimedOut => {
                Error::transient(None, format!("{host} did not answer in time")).with_source(error)
            }
            _ => error,
        }
    })
}

/// As [`exchange`], and once more if the connection broke or the server failed without saying how
/// long to wait. A server that is busy (429) is left alone.
pub(crate) async fn exchange_again(
    effects: &Effects,
    request: impl Fn() -> Result<http::Request<Body>>,
) -> Result<http::Response<Body>> {
    let result = exchange(effects, request()?).await;
    let again = match &result {
        Ok(response) => {
            response.status().is_server_error() && !response.headers().contains_key(RETRY_AFTER)
        }
        Err(error) => matches!(error.kind(), ErrorKind::Transient { retry_after: None }),
    };
    if again { exchange(effects, request()?).await } else { result }
}

impl Providers {
    pub(crate) fn new(trusted: BTreeSet<AuthorityHost>) -> Self {
        Self {
            trusted,
            confirmed: Mutex::default(),
            metadata: Mutex::default(),
            keys: Mutex::default(),
        }
    }

    /// Refuses an authority that is neither a Microsoft cloud, nor trusted by this process's
    /// settings, nor confirmed by a Microsoft cloud through instance discovery.
    pub(crate) async fn check_trust(
        &self,
        effects: &Effects,
        authority: &Authority,
        correlation_id: &CorrelationId,
    ) -> Result<()> {
        let host = authority.host();
        if self.is_trusted(host) {
            return Ok(());
        }
        let reason = match self.discover(effects, authority, correlation_id).await {
            Ok(Trust::Listed) => {
                lock(&self.confirmed).insert(host.clone());
                return Ok(());
            }
            Ok(Trust::Unlisted) => None,
            Err(error) => Some(error),
        };
        let refusal = Error::invalid_request(
            "authority",
            format!("{host} is not known as an authority of Microsoft Entra"),
        )
        .with_hint(format!(
            "if you trust it, add {host} to KEYBEARER_TRUSTED_AUTHORITY_HOSTS or to \
             trusted_authority_hosts in the broker's config.toml"
        ));
        Err(match reason {
            Some(reason) => refusal.with_source(reason),
            None => refusal,
        })
    }

    async fn discover(
        &self,
        effects: &Effects,
        authority: &Authority,
        correlation_id: &CorrelationId,
    ) -> Result<Trust> {
        let known = AuthorityHost::public_cloud();
        let request = instance::request(&known, authority, correlation_id)?;
        instance::parse(authority.host(), &exchange(effects, request).await?)
    }

    /// Whether the host may be used without asking anybody.
    pub(crate) fn is_trusted(&self, host: &AuthorityHost) -> bool {
        host.is_known() || self.trusted.contains(host) || lock(&self.confirmed).contains(host)
    }

    pub(crate) async fn metadata(
        &self,
        effects: &Effects,
        authority: &Authority,
        correlation_id: &CorrelationId,
    ) -> Result<ProviderMetadata> {
        let known =
            lock(&self.metadata).get(authority).and_then(|d| d.current(effects.clock.now()));
        if let Some(metadata) = known {
            return Ok(metadata);
        }
        let response = exchange(effects, metadata::request(authority, correlation_id)?).await?;
        let metadata = metadata::parse(authority, &response)?;
        let dated = Dated { value: metadata.clone(), learned: effects.clock.now() };
        lock(&self.metadata).insert(authority.clone(), dated);
        Ok(metadata)
    }

    /// The provider's keys, as far as they are known.
    pub(crate) async fn keys(
        &self,
        effects: &Effects,
        metadata: &ProviderMetadata,
        correlation_id: &CorrelationId,
    ) -> Result<KeySet> {
        let now = effects.clock.now();
        let known = lock(&self.keys).get(&metadata.jwks_uri).and_then(|dated| dated.current(now));
        match known {
            Some(keys) => Ok(keys),
            None => self.fetch_keys(effects, metadata, correlation_id).await,
        }
    }

    pub(crate) async fn fetch_keys(
        &self,
        effects: &Effects,
        metadata: &ProviderMetadata,
        correlation_id: &CorrelationId,
    ) -> Result<KeySet> {
        let response = exchange(effects, keys::request(metadata, correlation_id)?).await?;
        let keys = keys::parse(&response)?;
        let dated = Dated { value: keys.clone(), learned: effects.clock.now() };
        lock(&self.keys).insert(metadata.jwks_uri.clone(), dated);
        Ok(keys)
    }

    /// The keys the provider signs with for one app, if its registration customises claims.
    pub(crate) async fn fetch_keys_of_app(
        &self,
        effects: &Effects,
        metadata: &ProviderMetadata,
        client_id: &ClientId,
        correlation_id: &CorrelationId,
    ) -> Result<KeySet> {
        let request = keys::request_for_app(metadata, client_id, correlation_id)?;
        keys::parse(&exchange(effects, request).await?)
    }
}
