//! Access tokens in memory. The cost of a lookup does not depend on the number of tokens.
//!
//! A token ends by the wall clock or by the uptime, whichever is first. A wall clock that is set
//! back must not prolong a token, and neither must one that was wrong when the token was issued.

use std::collections::HashMap;
use std::time::Duration;

use keybearer_core::{AccessToken, Token};

use crate::effects::ClockReading;
use crate::refresh::cache_key::CacheKey;
use crate::store::record_name::AccountKey;

/// A token that ends sooner than this is not returned, because the request that it is for must
/// still arrive at the resource.
const EXPIRY_MARGIN: Duration = Duration::from_secs(300);

/// The pause before the next renewal after one has failed. It doubles with each further failure.
const FIRST_PAUSE: Duration = Duration::from_secs(15);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// A new token makes the cache remove expired ones, if so many tokens have come since the last
/// removal or it was so long ago.
const SWEEP_EVERY: usize = 1024;
const SWEEP_AFTER: Duration = Duration::from_secs(300);

/// Access tokens by key.
#[derive(Default)]
pub(crate) struct TokenCache {
    entries: HashMap<CacheKey, Entry>,
    inserted: usize,
    /// The uptime of the last removal of expired tokens.
    swept: Duration,
}

#[derive(Clone)]
struct Entry {
    token: Token,
    /// The uptime at which the token ends.
    ends: Duration,
    /// Set after a renewal has failed.
    pause: Option<Pause>,
}

#[derive(Clone, Copy)]
struct Pause {
    /// The uptime at which the pause is over.
    until: Duration,
    length: Duration,
}

impl Entry {
    /// How long the token is still valid.
    fn left(&self, at: ClockReading) -> Duration {
        let by_uptime = self.ends.saturating_sub(at.uptime);
        self.token.expires_on.saturating_since(at.now).min(by_uptime)
    }

    fn is_renewable(&self, at: ClockReading) -> bool {
        let worthwhile = self.token.refresh_on.is_some_and(|refresh_on| at.now >= refresh_on);
        worthwhile && self.pause.is_none_or(|pause| at.uptime >= pause.until)
    }

    /// The token, with its end by the wall clock of this reading.
    fn token(&self, at: ClockReading) -> Token {
        Token { expires_on: at.now + self.left(at), ..self.token.clone() }
    }
}

/// The result of a lookup.
pub(crate) enum CachedToken {
    /// Not due for renewal.
    Fresh(Token),
    /// Valid, and due for renewal in the background.
    Renewable(Token),
}

impl TokenCache {
    /// A valid token, unless it is the one that the resource refused.
    pub(crate) fn find(
        &self,
        key: &CacheKey,
        refused: Option<&AccessToken>,
        at: ClockReading,
    ) -> Option<CachedToken> {
        let entry = self.entries.get(key)?;
        if entry.left(at) <= EXPIRY_MARGIN {
            return None;
        }
        if refused.is_some_and(|refused| refused.same_as(&entry.token.access_token)) {
            return None;
        }
        let token = entry.token(at);
        Some(if entry.is_renewable(at) {
            CachedToken::Renewable(token)
        } else {
            CachedToken::Fresh(token)
        })
    }

    /// Adds a token. One that satisfies a claims challenge also replaces the token that did not.
    pub(crate) fn insert(&mut self, key: CacheKey, token: Token, at: ClockReading) {
        let ends = at.uptime + token.expires_on.saturating_since(at.now);
        let entry = Entry { token, ends, pause: None };
        if key.claims.is_some() {
            self.entries.insert(CacheKey { claims: None, ..key.clone() }, entry.clone());
        }
        self.entries.insert(key, entry);
        self.inserted += 1;
        if self.inserted >= SWEEP_EVERY || at.uptime >= self.swept + SWEEP_AFTER {
            (self.inserted, self.swept) = (0, at.uptime);
            self.entries.retain(|_, entry| !entry.left(at).is_zero());
        }
    }

    /// Delays the next renewal, after one has failed.
    pub(crate) fn postpone_renewal(&mut self, key: &CacheKey, at: ClockReading) {
        if let Some(entry) = self.entries.get_mut(key) {
            let length = entry.pause.map_or(FIRST_PAUSE, |pause| pause.length * 2);
            let length = length.min(LONGEST_PAUSE);
            entry.pause = Some(Pause { until: at.uptime + length, length });
        }
    }

    /// Removes every token of an account.
    pub(crate) fn remove_account(&mut self, account: &AccountKey) {
        self.entries.retain(|key, _| key.account != *account);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use keybearer_core::{
        Account, Capabilities, Claims, ClientId, HomeAccountId, ScopeSet, Tenant, TenantId,
        Timestamp, TokenSource, TokenType,
    };

    use super::*;
    use crate::proof::Binding;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(1_000_000 + seconds)
    }

    fn reading(seconds: u32) -> ClockReading {
        let uptime = Duration::from_secs(seconds.into());
        ClockReading { now: at(seconds.into()), uptime }
    }

    fn key(claims: Option<&str>) -> CacheKey {
        CacheKey {
            account: AccountKey {
                environment: "e".into(),
                home_account_id: HomeAccountId::parse("o.t").unwrap(),
            },
            client_id: ClientId::parse("app").unwrap(),
            tenant: Tenant::Organizations,
            scopes: ScopeSet::parse(&["User.Read"]).unwrap(),
            claims: claims.and_then(|text| Claims::parse(text).unwrap()),
            capabilities: Capabilities::default(),
            binding: Binding::Bearer,
            nested: BTreeMap::new(),
        }
    }

    fn token(text: &str, expires_on: Timestamp, refresh_on: Option<Timestamp>) -> Token {
        Token {
            access_token: AccessToken::new(text.into()),
            token_type: TokenType::Bearer,
            expires_on,
            refresh_on,
            granted_scopes: ScopeSet::parse(&["User.Read"]).unwrap(),
            account: Account {
                home_account_id: HomeAccountId::parse("o.t").unwrap(),
                environment: "e".into(),
                realm: TenantId::parse("t").unwrap(),
                local_account_id: "o".into(),
                username: "u".into(),
                name: None,
            },
            id_token: None,
            source: TokenSource::Refresh,
        }
    }

    fn cache(token: Token) -> TokenCache {
        let mut cache = TokenCache::default();
        cache.insert(key(None), token, reading(0));
        cache
    }

    #[test]
    fn a_token_is_served_until_shortly_before_it_expires() {
        let cache = cache(token("a", at(3600), None));
        assert!(matches!(cache.find(&key(None), None, reading(3299)), Some(CachedToken::Fresh(_))));
        assert!(cache.find(&key(None), None, reading(3300)).is_none());
    }

    #[test]
    fn from_refresh_on_a_token_is_served_and_worth_renewing() {
        let cache = cache(token("a", at(3600), Some(at(1800))));
        assert!(matches!(cache.find(&key(None), None, reading(1799)), Some(CachedToken::Fresh(_))));
        assert!(matches!(
            cache.find(&key(None), None, reading(1800)),
            Some(CachedToken::Renewable(_))
        ));
    }

    #[test]
    fn after_failures_a_renewal_waits_longer_and_longer() {
        let mut cache = cache(token("a", at(36_000), Some(at(0))));
        let mut seconds = 0;
        for pause in [15, 30, 60, 120, 240, 300, 300] {
            assert!(matches!(
                cache.find(&key(None), None, reading(seconds)),
                Some(CachedToken::Renewable(_))
            ));
            cache.postpone_renewal(&key(None), reading(seconds));
            seconds += pause;
            assert!(matches!(
                cache.find(&key(None), None, reading(seconds - 1)),
                Some(CachedToken::Fresh(_))
            ));
        }
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_prolong_a_token() {
        let cache = cache(token("a", at(3600), None));
        let later = |uptime| ClockReading { now: at(-3600), uptime: Duration::from_secs(uptime) };
        let Some(CachedToken::Fresh(found)) = cache.find(&key(None), None, later(600)) else {
            panic!("a hit")
        };
        assert_eq!(found.expires_on, at(-600), "3000 s are left, by the clock as it is now");
        assert!(cache.find(&key(None), None, later(3300)).is_none());
    }

    #[test]
    fn a_refused_token_is_not_served_again() {
        let cache = cache(token("a", at(3600), None));
        let refused = |text: &str| AccessToken::new(text.into());
        assert!(cache.find(&key(None), Some(&refused("a")), reading(0)).is_none());
        assert!(cache.find(&key(None), Some(&refused("older")), reading(0)).is_some());
    }

    #[test]
    fn a_token_for_a_challenge_replaces_the_one_that_was_challenged() {
        let mut cache = cache(token("old", at(3600), None));
        let challenge = key(Some(r#"{"access_token":{"nbf":{"value":"1"}}}"#));
        assert!(cache.find(&challenge, None, reading(0)).is_none());
        cache.insert(challenge, token("new", at(3600), None), reading(0));
        let Some(CachedToken::Fresh(found)) = cache.find(&key(None), None, reading(0)) else {
            panic!("a hit")
        };
        assert_eq!(found.access_token.expose(), "new");
    }

    #[test]
    fn expired_tokens_do_not_pile_up() {
        let mut cache = TokenCache::default();
        for index in 0..SWEEP_EVERY {
            let scopes = ScopeSet::parse(&[format!("s{index}")]).unwrap();
            let reading = reading(if index + 1 == SWEEP_EVERY { 9 } else { 0 });
            cache.insert(CacheKey { scopes, ..key(None) }, token("a", at(5), None), reading);
        }
        assert!(cache.entries.is_empty());
    }

    #[test]
    fn expired_tokens_are_swept_out_when_one_arrives_after_five_minutes() {
        let mut cache = cache(token("a", at(5), None));
        let other = CacheKey { scopes: ScopeSet::parse(&["other"]).unwrap(), ..key(None) };
        cache.insert(other.clone(), token("b", at(3600), None), reading(299));
        assert_eq!(cache.entries.len(), 2, "a sweep for every token would cost too much");
        cache.insert(other, token("c", at(3600), None), reading(300));
        assert_eq!(cache.entries.len(), 1);
    }
}
