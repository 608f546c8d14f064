//! What is known about identity providers.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keybearer_core::{
    Authority, AuthorityHost, ClientId, CorrelationId, Error, ErrorKind, Result, Timestamp,
};
use keybearer_protocol::Body;
use keybearer_protocol::instance::{self, Trust};
use keybearer_protocol::keys::{self, KeySet};
use keybearer_protocol::metadata::{self, ProviderMetadata};
use url::Url;

use crate::effects::{Clock, Effects};
use crate::flights::{Flights, lock};
use crate::provider::throttle::Throttle;
use crate::provider::transport::Transport;

/// How long endpoints and signing keys are cached. A key that is missing is fetched at once.
const METADATA_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// The providers that are trusted, their endpoints and signing keys, and how long they asked to
/// wait. Concurrent requests for the same thing send one request to the provider (invariant I6).
pub(crate) struct Providers {
    pub(crate) transport: Transport,
    clock: Arc<dyn Clock>,
    trusted: BTreeSet<AuthorityHost>,
    confirmed: Mutex<HashSet<AuthorityHost>>,
    discoveries: Flights<AuthorityHost, Trust>,
    metadata: Learned<Authority, ProviderMetadata>,
    keys: Learned<Url, KeySet>,
    throttle: Mutex<Throttle>,
}

/// Documents that providers publish about themselves, cached by their place.
struct Learned<K, T> {
    transport: Transport,
    clock: Arc<dyn Clock>,
    known: Arc<Mutex<HashMap<K, Dated<T>>>>,
    flights: Flights<K, T>,
}

struct Dated<T> {
    value: T,
    learned: Timestamp,
}

impl<K, T> Learned<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    fn new(effects: &Effects) -> Self {
        Self {
            transport: Transport::new(effects),
            clock: Arc::clone(&effects.clock),
            known: Arc::default(),
            flights: Flights::new(Arc::clone(&effects.spawner)),
        }
    }

    fn current(&self, key: &K) -> Option<T> {
        let now = self.clock.now();
        let known = lock(&self.known);
        let dated = known.get(key)?;
        (now.saturating_since(dated.learned) < METADATA_LIFETIME).then(|| dated.value.clone())
    }

    /// Fetches a document, or joins the request that is fetching it already.
    async fn learn(
        &self,
        key: &K,
        request: http::Request<Body>,
        parse: impl FnOnce(&http::Response<Body>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (transport, clock) = (self.transport.clone(), Arc::clone(&self.clock));
        let (known, at) = (Arc::clone(&self.known), key.clone());
        let start = move |_| async move {
            let value = parse(&transport.exchange(request).await?)?;
            lock(&known).insert(at, Dated { value: value.clone(), learned: clock.now() });
            Ok(value)
        };
        self.flights.join(key, start).landed().await
    }
}

impl Providers {
    /// `trusted` are the hosts that the settings of this process trust.
    pub(crate) fn new(effects: &Effects, trusted: BTreeSet<AuthorityHost>) -> Self {
        Self {
            transport: Transport::new(effects),
            clock: Arc::clone(&effects.clock),
            trusted,
            confirmed: Mutex::default(),
            discoveries: Flights::new(Arc::clone(&effects.spawner)),
            metadata: Learned::new(effects),
            keys: Learned::new(effects),
            throttle: Mutex::default(),
        }
    }

    /// Refuses an authority that is neither a Microsoft cloud, nor trusted by the settings of this
    /// process, nor listed by a Microsoft cloud in instance discovery.
    ///
    /// # Errors
    /// `InvalidRequest` on `authority`.
    pub(crate) async fn check_trust(
        &self,
        authority: &Authority,
        correlation_id: &CorrelationId,
    ) -> Result<()> {
        let host = authority.host();
        if self.is_trusted(host) {
            return Ok(());
        }
        let reason = match self.discover(authority, correlation_id).await {
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
        authority: &Authority,
        correlation_id: &CorrelationId,
    ) -> Result<Trust> {
        let host = authority.host().clone();
        let request = instance::request(&AuthorityHost::public_cloud(), authority, correlation_id)?;
        let transport = self.transport.clone();
        let start =
            move |_| async move { instance::parse(&host, &transport.exchange(request).await?) };
        self.discoveries.join(authority.host(), start).landed().await
    }

    /// Whether the host is trusted without instance discovery.
    pub(crate) fn is_trusted(&self, host: &AuthorityHost) -> bool {
        host.is_known() || self.trusted.contains(host) || lock(&self.confirmed).contains(host)
    }

    /// Whether the endpoints of the host are known, for any tenant.
    pub(crate) fn has_described(&self, host: &AuthorityHost) -> bool {
        lock(&self.metadata.known).keys().any(|authority| authority.host() == host)
    }

    /// The endpoints of an authority.
    pub(crate) async fn metadata(
        &self,
        authority: &Authority,
        correlation_id: &CorrelationId,
    ) -> Result<ProviderMetadata> {
        if let Some(metadata) = self.metadata.current(authority) {
            return Ok(metadata);
        }
        let request = metadata::request(authority, correlation_id)?;
        let at = authority.clone();
        let parse = move |response: &_| metadata::parse(&at, response);
        self.metadata.learn(authority, request, parse).await
    }

    /// The signing keys of the provider, from the cache if they are there.
    pub(crate) async fn keys(
        &self,
        metadata: &ProviderMetadata,
        correlation_id: &CorrelationId,
    ) -> Result<KeySet> {
        match self.keys.current(&metadata.jwks_uri) {
            Some(keys) => Ok(keys),
            None => self.fetch_keys(metadata, correlation_id).await,
        }
    }

    /// The signing keys of the provider, fetched now.
    pub(crate) async fn fetch_keys(
        &self,
        metadata: &ProviderMetadata,
        correlation_id: &CorrelationId,
    ) -> Result<KeySet> {
        let request = keys::request(metadata, correlation_id)?;
        self.keys.learn(&metadata.jwks_uri, request, keys::parse).await
    }

    /// The keys that the provider signs with for one app, if its registration customises claims.
    pub(crate) async fn fetch_keys_of_app(
        &self,
        metadata: &ProviderMetadata,
        client_id: &ClientId,
        correlation_id: &CorrelationId,
    ) -> Result<KeySet> {
        let request = keys::request_for_app(metadata, client_id, correlation_id)?;
        keys::parse(&self.transport.exchange(request).await?)
    }

    /// As [`Throttle::check`].
    pub(crate) fn check_throttle(&self, environment: &str, client_id: &ClientId) -> Result<()> {
        lock(&self.throttle).check(environment, client_id, self.clock.uptime())
    }

    /// Remembers how long the provider asked to wait, if this error from any of its endpoints says
    /// so.
    pub(crate) fn note_busy(&self, environment: &str, client_id: &ClientId, error: &Error) {
        if let ErrorKind::Transient { retry_after: Some(wait) } = error.kind() {
            lock(&self.throttle).note(environment, client_id, *wait, self.clock.uptime());
        }
    }

    /// This machine's time.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
