//! Access tokens in memory. Looking one up costs the same however many there are.

use std::collections::HashMap;

use keybearer_core::{
    AccessToken, Capabilities, Claims, ClientId, ScopeSet, Tenant, Timestamp, Token, TokenType,
};

use crate::registry::AccountKey;

/// Tokens that end sooner than this are not handed out: the request they are for must still arrive.
const MARGIN: std::time::Duration = std::time::Duration::from_secs(300);

/// Expired tokens are swept out when the cache has grown by this many entries.
const SWEEP_EVERY: usize = 1024;

/// Everything that makes one token different from another.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct CacheKey {
    pub(crate) account: AccountKey,
    pub(crate) client_id: ClientId,
    pub(crate) tenant: Tenant,
    pub(crate) scopes: ScopeSet,
    pub(crate) claims: Option<Claims>,
    pub(crate) capabilities: Capabilities,
    pub(crate) token_type: TokenType,
}

#[derive(Default)]
pub(crate) struct TokenCache {
    tokens: HashMap<CacheKey, Token>,
    inserted: usize,
}

/// What a look-up found.
pub(crate) enum Hit {
    /// Good for a while.
    Fresh(Token),
    /// Good, but worth renewing in the background.
    Renewable(Token),
}

impl TokenCache {
    /// A usable token, unless it is the one the caller was refused with.
    pub(crate) fn find(
        &self,
        key: &CacheKey,
        refused: Option<&AccessToken>,
        now: Timestamp,
    ) -> Option<Hit> {
        let token = self.tokens.get(key)?;
        if now + MARGIN >= token.expires_on {
            return None;
        }
        if refused.is_some_and(|refused| refused.same_as(&token.access_token)) {
            return None;
        }
        let renewable = token.refresh_on.is_some_and(|moment| now >= moment);
        Some(if renewable { Hit::Renewable(token.clone()) } else { Hit::Fresh(token.clone()) })
    }

    /// Keeps a token under its key. One that satisfies a claims challenge also takes the place of
    /// the one that did not.
    pub(crate) fn insert(&mut self, key: CacheKey, token: Token, now: Timestamp) {
        if key.claims.is_some() {
            self.tokens.insert(CacheKey { claims: None, ..key.clone() }, token.clone());
        }
        self.tokens.insert(key, token);
        self.inserted += 1;
        if self.inserted >= SWEEP_EVERY {
            self.inserted = 0;
            self.tokens.retain(|_, token| token.expires_on > now);
        }
    }

    /// Forgets every token of an account.
    pub(crate) fn remove_account(&mut self, account: &AccountKey) {
        self.tokens.retain(|key, _| key.account != *account);
    }
}

#[cfg(test)]
mod tests {
    use keybearer_core::{Account, HomeAccountId, TenantId, TokenSource};

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_000_000);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(1_000_000 + seconds)
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
            token_type: TokenType::Bearer,
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
        cache.insert(key(None), token, NOW);
        cache
    }

    #[test]
    fn a_token_is_served_until_shortly_before_it_expires() {
        let cache = cache(token("a", at(3600), None));
        assert!(matches!(cache.find(&key(None), None, at(3299)), Some(Hit::Fresh(_))));
        assert!(cache.find(&key(None), None, at(3300)).is_none());
    }

    #[test]
    fn from_refresh_on_a_token_is_served_and_worth_renewing() {
        let cache = cache(token("a", at(3600), Some(at(1800))));
        assert!(matches!(cache.find(&key(None), None, at(1799)), Some(Hit::Fresh(_))));
        assert!(matches!(cache.find(&key(None), None, at(1800)), Some(Hit::Renewable(_))));
    }

    #[test]
    fn a_refused_token_is_not_served_again() {
        let cache = cache(token("a", at(3600), None));
        let refused = |text: &str| AccessToken::new(text.into());
        assert!(cache.find(&key(None), Some(&refused("a")), NOW).is_none());
        assert!(cache.find(&key(None), Some(&refused("older")), NOW).is_some());
    }

    #[test]
    fn a_token_for_a_challenge_replaces_the_one_that_was_challenged() {
        let mut cache = cache(token("old", at(3600), None));
        let challenge = key(Some(r#"{"access_token":{"nbf":{"value":"1"}}}"#));
        assert!(cache.find(&challenge, None, NOW).is_none());
        cache.insert(challenge, token("new", at(3600), None), NOW);
        let Some(Hit::Fresh(found)) = cache.find(&key(None), None, NOW) else { panic!("a hit") };
        assert_eq!(found.access_token.expose(), "new");
    }

    #[test]
    fn expired_tokens_do_not_pile_up() {
        let mut cache = TokenCache::default();
        for index in 0..SWEEP_EVERY {
            let scopes = ScopeSet::parse(&[format!("s{index}")]).unwrap();
            let moment = if index + 1 == SWEEP_EVERY { at(9) } else { NOW };
            cache.insert(CacheKey { scopes, ..key(None) }, token("a", at(5), None), moment);
        }
        assert!(cache.tokens.is_empty());
    }
}
