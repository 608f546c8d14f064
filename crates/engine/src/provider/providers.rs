//! What is known about identity providers: whether they may be used, their endpoints, their keys.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::RETRY_AFTER;
use keybearer_core::{
    Authority, AuthorityHost, ClientId, CorrelationId, Deadline, Error, ErrorKind, Result,
    Timestamp,
};
use keybearer_protocol::Body;
use keybearer_protocol::instance::{self, Trust};
use keybearer_protocol::keys::{self, KeySet};
use keybearer_protocol::metadata::{self, ProviderMetadata};
use url::Url;

use crate::deadline::within;
use crate::effects::Effects;
use crate::flights::{Flights, lock};

/// How long endpoints and keys are believed; a key that is missing is looked for at once.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// How long one exchange with a provider may take, whoever waits for it.
const EXCHANGE: Duration = Duration::from_secs(30);

/// However many ask for the same at the same time, the provider is asked once (invariant I6).
pub(crate) struct Providers {
    trusted: BTreeSet<AuthorityHost>,
    confirmed: Arc<Mutex<HashSet<AuthorityHost>>>,
    discoveries: Flights<AuthorityHost, Trust>,
    metadata: Learned<Authority, ProviderMetadata>,
    keys: Learned<Url, KeySet>,
}

/// What providers have said about themselves.
struct Learned<K, T> {
    known: Arc<Mutex<HashMap<K, Dated<T>>>>,
    flights: Flights<K, T>,
}

struct Dated<T> {
    value: T,
    learned: Timestamp,
}

impl<K, T> Default for Learned<K, T> {
    fn default() -> Self {
        Self { known: Arc::default(), flights: Flights::default() }
    }
}

impl<K, T> Learned<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    fn current(&self, key: &K, now: Timestamp) -> Option<T> {
        let known = lock(&self.known);
        let dated = known.get(key)?;
        (now.saturating_since(dated.learned) < LIFETIME).then(|| dated.value.clone())
    }

    /// Asks the provider, or waits for the answer to whoever is asking already.
    async fn learn(
        &self,
        effects: &Effects,
        key: &K,
        request: http::Request<Body>,
        parse: impl FnOnce(&http::Response<Body>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (known, at, own) = (Arc::clone(&self.known), key.clone(), effects.clone());
        let start = move |_| async move {
            let value = parse(&exchange(&own, request).await?)?;
            let dated = Dated { value: value.clone(), learned: own.clock.now() };
            lock(&known).insert(at, dated);
            Ok(value)
        };
        self.flights.join(&*effects.spawner, key, start).landed().await
    }
}

/// Sends one request, within the limit of an exchange.
pub(crate) async fn exchange(
    effects: &Effects,
    request: http::Request<Body>,
) -> Result<http::Response<Body>> {
    let host = request.uri().host().unwrap_or_default().to_owned();
    let what = format!("the exchange with {host}");
    let clock = &*effects.clock;
    let deadline = Deadline::after(EXCHANGE, clock.instant());
    within(clock, deadline, &what, effects.http.send(request)).await.map_err(|error| {
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
            confirmed: Arc::default(),
            discoveries: Flights::default(),
            metadata: Learned::default(),
            keys: Learned::default(),
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
        let host = authority.host().clone();
        let request = instance::request(&AuthorityHost::public_cloud(), authority, correlation_id)?;
        let own = effects.clone();
        let start = move |_| async move { instance::parse(&host, &exchange(&own, request).await?) };
        self.discoveries.join(&*effects.spawner, authority.host(), start).landed().await
    }

    /// Whether the host may be used without asking anybody.
    pub(crate) fn is_trusted(&self, host: &AuthorityHost) -> bool {
        host.is_known() || self.trusted.contains(host) || lock(&self.confirmed).contains(host)
    }

    /// Whether the host has told its endpoints for any tenant.
    pub(crate) fn has_described(&self, host: &AuthorityHost) -> bool {
        lock(&self.metadata.known).keys().any(|authority| authority.host() == host)
    }

    pub(crate) async fn metadata(
        &self,
        effects: &Effects,
        authority: &Authority,
        correlation_id: &CorrelationId,
    ) -> Result<ProviderMetadata> {
        if let Some(metadata) = self.metadata.current(authority, effects.clock.now()) {
            return Ok(metadata);
        }
        let request = metadata::request(authority, correlation_id)?;
        let at = authority.clone();
        let parse = move |response: &_| metadata::parse(&at, response);
        self.metadata.learn(effects, authority, request, parse).await
    }

    /// The provider's keys, as far as they are known.
    pub(crate) async fn keys(
        &self,
        effects: &Effects,
        metadata: &ProviderMetadata,
        correlation_id: &CorrelationId,
    ) -> Result<KeySet> {
        match self.keys.current(&metadata.jwks_uri, effects.clock.now()) {
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
        let request = keys::request(metadata, correlation_id)?;
        self.keys.learn(effects, &metadata.jwks_uri, request, keys::parse).await
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
