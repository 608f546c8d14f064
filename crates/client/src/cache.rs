//! The tokens one credential holds. A look-up takes no lock and allocates nothing.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use keybearer_core::{Claims, OIDC_SCOPES, ProofOfPossession, ScopeSet, Tenant, Timestamp, Token};

/// Tokens that end sooner than this are not handed out.
const MARGIN: Duration = Duration::from_secs(300);

/// How long until a token that is worth renewing is asked for again.
const RENEW_EVERY: Duration = Duration::from_secs(30);

/// What a token is looked up by, as the caller gave it.
#[derive(Clone, Copy)]
pub(crate) struct Query<'a> {
    pub(crate) scopes: &'a [&'a str],
    pub(crate) tenant: &'a Tenant,
    pub(crate) claims: Option<&'a Claims>,
    pub(crate) cae: bool,
    pub(crate) proof: Option<&'a ProofOfPossession>,
}

#[derive(Default)]
pub(crate) struct TokenCache(ArcSwap<HashMap<u64, Vec<Arc<Entry>>>>);

struct Entry {
    scopes: ScopeSet,
    tenant: Tenant,
    claims: Option<Claims>,
    cae: bool,
    proof: Option<ProofOfPossession>,
    token: Arc<Token>,
    renew_from: AtomicI64,
}

/// What a look-up found.
pub(crate) enum Hit {
    /// Good for a while.
    Fresh(Arc<Token>),
    /// Good, and this caller is the one to have it renewed in the background.
    Renew(Arc<Token>),
}

impl TokenCache {
    pub(crate) fn find(&self, query: Query<'_>, now: Timestamp) -> Option<Hit> {
        let entries = self.0.load();
        let entry = entries.get(&hash(query))?.iter().find(|entry| entry.matches(query))?;
        if now + MARGIN >= entry.token.expires_on {
            return None;
        }
        let token = Arc::clone(&entry.token);
        Some(if entry.claim_renewal(now) { Hit::Renew(token) } else { Hit::Fresh(token) })
    }

    /// Keeps a token; one for a claims challenge also replaces the one that was challenged.
    pub(crate) fn insert(&self, query: Query<'_>, scopes: &ScopeSet, token: &Arc<Token>) {
        if query.claims.is_some() {
            self.insert(Query { claims: None, ..query }, scopes, token);
        }
        let entry = Arc::new(Entry {
            scopes: scopes.clone(),
            tenant: query.tenant.clone(),
            claims: query.claims.cloned(),
            cae: query.cae,
            proof: query.proof.cloned(),
            token: Arc::clone(token),
            renew_from: AtomicI64::new(
                token.refresh_on.map_or(i64::MAX, |moment| moment.unix_millis()),
            ),
        });
        let key = hash(query);
        self.0.rcu(|entries| {
            let mut entries = HashMap::clone(entries);
            let bucket = entries.entry(key).or_default();
            bucket.retain(|old| !old.matches(query));
            bucket.push(Arc::clone(&entry));
            entries
        });
    }
}

impl Entry {
    fn matches(&self, query: Query<'_>) -> bool {
        self.cae == query.cae
            && self.tenant == *query.tenant
            && self.claims.as_ref() == query.claims
            && self.proof.as_ref() == query.proof
            && self.scopes.matches(query.scopes)
    }

    /// Whether it is time to renew, true for one caller in each interval.
    fn claim_renewal(&self, now: Timestamp) -> bool {
        let due = self.renew_from.load(Ordering::Relaxed);
        let next = (now + RENEW_EVERY).unix_millis();
        now.unix_millis() >= due
            && self
                .renew_from
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

/// The order of the scopes does not matter, so their hashes are added.
fn hash(query: Query<'_>) -> u64 {
    let of = |value: &dyn Fn(&mut DefaultHasher)| {
        let mut hasher = DefaultHasher::new();
        value(&mut hasher);
        hasher.finish()
    };
    let resource = query.scopes.iter().filter(|scope| !OIDC_SCOPES.contains(scope));
    let scopes = resource.map(|scope| of(&|hasher| scope.hash(hasher)));
    let rest = of(&|hasher| (query.tenant, query.claims, query.cae, query.proof).hash(hasher));
    scopes.fold(rest, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use keybearer_core::{AccessToken, Account, HomeAccountId, TenantId, TokenSource, TokenType};

    use super::*;

    const SCOPE: &[&str] = &["https://storage.azure.com/.default"];

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn query<'a>(scopes: &'a [&'a str], tenant: &'a Tenant) -> Query<'a> {
        Query { scopes, tenant, claims: None, cae: false, proof: None }
    }

    fn token(text: &str) -> Arc<Token> {
        Arc::new(Token {
            access_token: AccessToken::new(text.into()),
            token_type: TokenType::Bearer,
            expires_on: at(3600),
            refresh_on: Some(at(1800)),
            granted_scopes: ScopeSet::parse(SCOPE).unwrap(),
            account: Account {
                home_account_id: HomeAccountId::parse("o.t").unwrap(),
                environment: "e".into(),
                realm: TenantId::parse("t").unwrap(),
                local_account_id: "o".into(),
                username: "u".into(),
                name: None,
            },
            id_token: None,
            source: TokenSource::SignIn,
        })
    }

    fn found(cache: &TokenCache, query: Query<'_>, now: i64) -> Option<(String, bool)> {
        cache.find(query, at(now)).map(|hit| match hit {
            Hit::Fresh(token) => (token.access_token.expose().to_owned(), false),
            Hit::Renew(token) => (token.access_token.expose().to_owned(), true),
        })
    }

    #[test]
    fn a_token_is_found_by_its_scopes_in_any_order_and_by_nothing_less() {
        let cache = TokenCache::default();
        let (tenant, two) = (Tenant::Organizations, ["r/b", "r/a"]);
        cache.insert(query(&two, &tenant), &ScopeSet::parse(&two).unwrap(), &token("t"));
        assert!(found(&cache, query(&["r/a", "openid", "r/b"], &tenant), 0).is_some());
        assert!(found(&cache, query(&["r/a"], &tenant), 0).is_none());
        assert!(found(&cache, query(&two, &Tenant::Common), 0).is_none());
        assert!(found(&cache, Query { cae: true, ..query(&two, &tenant) }, 0).is_none());
        let bound = ProofOfPossession::BoundTo { key_id: "k".into() };
        let bound = Query { proof: Some(&bound), ..query(&two, &tenant) };
        assert!(found(&cache, bound, 0).is_none());
    }

    #[test]
    fn one_caller_in_an_interval_renews_and_nobody_waits() {
        let cache = TokenCache::default();
        let tenant = Tenant::Organizations;
        let (query, scopes) = (query(SCOPE, &tenant), ScopeSet::parse(SCOPE).unwrap());
        cache.insert(query, &scopes, &token("t"));
        let renews = |now| found(&cache, query, now).unwrap().1;
        assert!(!renews(1799));
        assert!(renews(1800));
        assert!(!renews(1801));
        assert!(renews(1831));
        assert!(found(&cache, query, 3300).is_none());
    }

    #[test]
    fn a_token_for_a_challenge_replaces_the_one_that_was_challenged() {
        let cache = TokenCache::default();
        let tenant = Tenant::Organizations;
        let scopes = ScopeSet::parse(SCOPE).unwrap();
        let claims = Claims::parse(r#"{"access_token":{"nbf":{"value":"1"}}}"#).unwrap();
        cache.insert(query(SCOPE, &tenant), &scopes, &token("old"));
        let challenge = Query { claims: claims.as_ref(), ..query(SCOPE, &tenant) };
        assert!(found(&cache, challenge, 0).is_none());
        cache.insert(challenge, &scopes, &token("new"));
        assert_eq!(found(&cache, query(SCOPE, &tenant), 0).unwrap().0, "new");
    }
}
