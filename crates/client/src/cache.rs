//! The tokens one credential holds. A look-up takes no lock and allocates nothing.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use keybearer_core::{Claims, OIDC_SCOPES, ProofOfPossession, ScopeSet, Tenant, Timestamp, Token};
use keybearer_engine::ClockReading;
use rustc_hash::FxHasher;

/// Tokens that end sooner than this are not handed out.
const MARGIN: Duration = Duration::from_secs(300);

/// How long until a token that is worth renewing is asked for again.
const RENEW_EVERY: Duration = Duration::from_secs(30);

/// How long after issue a token is assumed to satisfy the claims it was requested with. A caller that
/// names the same claims later was refused with the token.
const ANSWERS_A_CHALLENGE: Duration = Duration::from_secs(30);

/// What a token is looked up by, as the caller gave it.
#[derive(Clone, Copy)]
pub(crate) struct CacheLookup<'a> {
    pub(crate) scopes: &'a [&'a str],
    pub(crate) tenant: &'a Tenant,
    pub(crate) claims: Option<&'a Claims>,
    pub(crate) cae: bool,
    pub(crate) proof: Option<&'a ProofOfPossession>,
}

#[derive(Default)]
pub(crate) struct TokenCache(ArcSwap<Entries>);

/// In the order of their hashes. The hash is a cheap one: an app whose look-ups collide slows only
/// itself down.
#[derive(Clone, Default)]
struct Entries(Vec<(u64, Arc<Entry>)>);

struct Entry {
    scopes: ScopeSet,
    tenant: Tenant,
    claims: Option<Claims>,
    cae: bool,
    proof: Option<ProofOfPossession>,
    token: Arc<Token>,
    renew_from: AtomicI64,
    /// By uptime, which the wall clock does not affect: when it was kept and when it ends.
    kept: Duration,
    ends: Duration,
}

/// What a look-up found.
pub(crate) enum CachedToken {
    /// Good for a while.
    Fresh(Arc<Token>),
    /// Good, and this caller is the one to have it renewed in the background.
    Renew(Arc<Token>),
}

impl TokenCache {
    pub(crate) fn find(&self, query: CacheLookup<'_>, at: ClockReading) -> Option<CachedToken> {
        let entries = self.0.load();
        let entry = entries.find(query)?;
        if !entry.is_good(at) || entry.is_challenged_again(query, at) {
            return None;
        }
        let token = Arc::clone(&entry.token);
        Some(if entry.claim_renewal(at.now) {
            CachedToken::Renew(token)
        } else {
            CachedToken::Fresh(token)
        })
    }

    /// The token that a service refused, as far as it is known, if this is about a claims challenge:
    /// the one that the same claims were answered with before, else the one without claims.
    pub(crate) fn refused(&self, query: CacheLookup<'_>) -> Option<Arc<Token>> {
        query.claims?;
        let entries = self.0.load();
        let refused = entries.find(query);
        let refused = refused.or_else(|| entries.find(CacheLookup { claims: None, ..query }))?;
        Some(Arc::clone(&refused.token))
    }

    /// Keeps a token, as long as it is good; one for a claims challenge also replaces the one that
    /// was challenged.
    pub(crate) fn insert(
        &self,
        query: CacheLookup<'_>,
        scopes: &ScopeSet,
        token: &Arc<Token>,
        at: ClockReading,
    ) {
        if query.claims.is_some() {
            self.insert(CacheLookup { claims: None, ..query }, scopes, token, at);
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
            kept: at.uptime,
            ends: at.uptime + token.expires_on.saturating_since(at.now),
        });
        let hash = hash(query);
        self.0.rcu(|entries| {
            let mut entries = Entries::clone(entries);
            entries.0.retain(|(_, old)| {
                let is_replaced = old.matches(query);
                if is_replaced {
                    entry.renew_no_sooner_than(old);
                }
                !is_replaced && old.is_good(at)
            });
            let place = entries.start_of(hash);
            entries.0.insert(place, (hash, Arc::clone(&entry)));
            entries
        });
    }
}

impl Entries {
    fn find(&self, query: CacheLookup<'_>) -> Option<&Arc<Entry>> {
        let hash = hash(query);
        let same = self.0.iter().skip(self.start_of(hash)).take_while(|(other, _)| *other == hash);
        same.map(|(_, entry)| entry).find(|entry| entry.matches(query))
    }

    fn start_of(&self, hash: u64) -> usize {
        self.0.partition_point(|(other, _)| *other < hash)
    }
}

impl Entry {
    fn matches(&self, query: CacheLookup<'_>) -> bool {
        self.cae == query.cae
            && self.tenant == *query.tenant
            && self.claims.as_ref() == query.claims
            && self.proof.as_ref() == query.proof
            && self.scopes.matches(query.scopes)
    }

    fn is_good(&self, at: ClockReading) -> bool {
        at.now + MARGIN < self.token.expires_on && at.uptime + MARGIN < self.ends
    }

    /// Whether it was requested with these claims, so long ago that it must have been refused.
    fn is_challenged_again(&self, query: CacheLookup<'_>, at: ClockReading) -> bool {
        query.claims.is_some() && at.uptime > self.kept + ANSWERS_A_CHALLENGE
    }

    /// A broker that cannot renew a token answers with the one it has.
    fn renew_no_sooner_than(&self, old: &Self) {
        if self.token.access_token.same_as(&old.token.access_token) {
            self.renew_from.fetch_max(old.renew_from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
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

/// Neither order nor repetition of the scopes matters, so the hashes of different ones are added.
fn hash(query: CacheLookup<'_>) -> u64 {
    let of = |value: &dyn Fn(&mut FxHasher)| {
        let mut hasher = FxHasher::default();
        value(&mut hasher);
        hasher.finish()
    };
    let given = query.scopes.iter().enumerate();
    let once = given.filter(|(index, scope)| !query.scopes[..*index].contains(scope));
    let resource = once.map(|(_, scope)| scope).filter(|scope| !OIDC_SCOPES.contains(scope));
    let scopes = resource.map(|scope| of(&|hasher| scope.hash(hasher)));
    let rest = of(&|hasher| (query.tenant, query.claims, query.cae, query.proof).hash(hasher));
    scopes.fold(rest, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use keybearer_core::{AccessToken, Account, HomeAccountId, TenantId, TokenSource, TokenType};

    use super::*;

    const SCOPE: &[&str] = &["https://storage.azure.com/.default"];

    fn at(seconds: i64) -> ClockReading {
        let uptime = Duration::from_secs(u64::try_from(seconds).unwrap());
        ClockReading { now: Timestamp::from_unix_seconds(seconds), uptime }
    }

    fn query<'a>(scopes: &'a [&'a str], tenant: &'a Tenant) -> CacheLookup<'a> {
        CacheLookup { scopes, tenant, claims: None, cae: false, proof: None }
    }

    fn token(text: &str) -> Arc<Token> {
        Arc::new(Token {
            access_token: AccessToken::new(text.into()),
            token_type: TokenType::Bearer,
            expires_on: at(3600).now,
            refresh_on: Some(at(1800).now),
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

    fn found(cache: &TokenCache, query: CacheLookup<'_>, now: i64) -> Option<(String, bool)> {
        cache.find(query, at(now)).map(|hit| match hit {
            CachedToken::Fresh(token) => (token.access_token.expose().to_owned(), false),
            CachedToken::Renew(token) => (token.access_token.expose().to_owned(), true),
        })
    }

    #[test]
    fn a_token_is_found_by_its_scopes_in_any_order_and_by_nothing_less() {
        let cache = TokenCache::default();
        let (tenant, two) = (Tenant::Organizations, ["r/b", "r/a"]);
        cache.insert(query(&two, &tenant), &ScopeSet::parse(&two).unwrap(), &token("t"), at(0));
        assert!(found(&cache, query(&["r/a", "openid", "r/b", "r/a"], &tenant), 0).is_some());
        assert!(found(&cache, query(&["r/a"], &tenant), 0).is_none());
        assert!(found(&cache, query(&two, &Tenant::Common), 0).is_none());
        assert!(found(&cache, CacheLookup { cae: true, ..query(&two, &tenant) }, 0).is_none());
        let bound = ProofOfPossession::BoundTo { key_id: "k".into() };
        let bound = CacheLookup { proof: Some(&bound), ..query(&two, &tenant) };
        assert!(found(&cache, bound, 0).is_none());
    }

    #[test]
    fn one_caller_in_an_interval_renews_and_nobody_waits() {
        let cache = TokenCache::default();
        let tenant = Tenant::Organizations;
        let (query, scopes) = (query(SCOPE, &tenant), ScopeSet::parse(SCOPE).unwrap());
        cache.insert(query, &scopes, &token("t"), at(0));
        let renews = |now| found(&cache, query, now).unwrap().1;
        assert!(!renews(1799));
        assert!(renews(1800));
        assert!(!renews(1801));
        assert!(renews(1831));
        // The same token again is no reason to ask sooner; for another one the time starts again.
        cache.insert(query, &scopes, &token("t"), at(1832));
        assert!(!renews(1833) && renews(1862));
        cache.insert(query, &scopes, &token("t-2"), at(1863));
        assert!(renews(1863));
        assert!(found(&cache, query, 3300).is_none());
    }

    #[test]
    fn a_wall_clock_that_is_set_back_prolongs_nothing() {
        let cache = TokenCache::default();
        let tenant = Tenant::Organizations;
        let (query, scopes) = (query(SCOPE, &tenant), ScopeSet::parse(SCOPE).unwrap());
        cache.insert(query, &scopes, &token("t"), at(0));
        let set_back = |uptime| ClockReading { uptime: Duration::from_secs(uptime), ..at(0) };
        assert!(cache.find(query, set_back(3200)).is_some());
        assert!(cache.find(query, set_back(3300)).is_none());
    }

    #[test]
    fn what_has_ended_is_let_go() {
        let cache = TokenCache::default();
        let scopes = ScopeSet::parse(SCOPE).unwrap();
        let weak: Vec<_> =
            [(Tenant::Common, 0), (Tenant::Consumers, 3000), (Tenant::Organizations, 3301)]
                .iter()
                .map(|(tenant, seconds)| {
                    let token = token("t");
                    cache.insert(query(SCOPE, tenant), &scopes, &token, at(*seconds));
                    Arc::downgrade(&token)
                })
                .collect();
        assert_eq!(weak.iter().map(|token| token.strong_count()).collect::<Vec<_>>(), [0, 0, 1]);
    }

    #[test]
    fn a_token_for_a_challenge_replaces_the_one_that_was_challenged() {
        let cache = TokenCache::default();
        let tenant = Tenant::Organizations;
        let scopes = ScopeSet::parse(SCOPE).unwrap();
        let claims = Claims::parse(r#"{"access_token":{"nbf":{"value":"1"}}}"#).unwrap();
        let plain = query(SCOPE, &tenant);
        cache.insert(plain, &scopes, &token("old"), at(0));
        let challenge = CacheLookup { claims: claims.as_ref(), ..plain };
        let refused =
            |query| cache.refused(query).map(|token| token.access_token.expose().to_owned());
        assert!(found(&cache, challenge, 0).is_none());
        assert_eq!((refused(plain), refused(challenge)), (None, Some("old".into())));
        cache.insert(challenge, &scopes, &token("new"), at(0));
        assert_eq!(found(&cache, plain, 0).unwrap().0, "new");
        // Others were challenged at the same time; who is challenged later was refused with it.
        assert!(found(&cache, challenge, 30).is_some());
        assert!(found(&cache, challenge, 31).is_none());
        assert_eq!(refused(challenge), Some("new".into()));
        assert!(found(&cache, plain, 31).is_some());
    }
}
