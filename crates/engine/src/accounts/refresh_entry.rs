use keybearer_core::RefreshToken;

use crate::store::records::StoredRefresh;

/// The refresh token of one account for one app, in memory.
///
/// The token itself is in the store, sealed. It is in memory only while it is being redeemed, or
/// until its successor has been written.
pub(crate) struct RefreshEntry {
    family: Option<String>,
    /// Distinguishes this entry from one that a new sign-in replaced during a redemption.
    generation: u64,
    rotation: Option<Box<Rotation>>,
}

/// A refresh token that is being redeemed, its successor and its predecessor.
struct Rotation {
    active: RefreshToken,
    successor: Option<RefreshToken>,
    previous: Option<RefreshToken>,
    newest_is_durable: bool,
    in_flight: u32,
}

impl RefreshEntry {
    /// An entry whose newest token is in the store.
    pub(crate) fn new(family: Option<String>, generation: u64) -> Self {
        Self { family, generation, rotation: None }
    }

    /// The generation that the entry was created with.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// The family of apps that may redeem it, if the provider named one.
    pub(crate) fn family(&self) -> Option<&str> {
        self.family.as_deref()
    }

    /// Takes over the token that was read from the store, unless a newer one is in memory.
    pub(crate) fn load_from_store(&mut self, stored: StoredRefresh) {
        let StoredRefresh { current, previous, family: _ } = stored;
        self.rotation.get_or_insert_with(|| {
            Box::new(Rotation {
                active: current,
                successor: None,
                previous,
                newest_is_durable: true,
                in_flight: 0,
            })
        });
    }

    /// The token to redeem, and its predecessor, which may be redeemed if the provider refuses the
    /// token. `None` if the token is only in the store.
    ///
    /// [`finish_redemption`](Self::finish_redemption) must follow.
    pub(crate) fn start_redemption(&mut self) -> Option<(RefreshToken, Option<RefreshToken>)> {
        let rotation = self.rotation.as_mut()?;
        Some((rotation.start_redemption(), rotation.previous.clone()))
    }

    /// Ends one redemption, with the token that the provider issued as successor.
    pub(crate) fn finish_redemption(&mut self, successor: Option<RefreshToken>) {
        if let Some(rotation) = &mut self.rotation {
            rotation.finish_redemption(successor);
        }
        self.drop_if_durable();
    }

    /// What the store may not contain yet.
    pub(crate) fn pending_write(&self) -> Option<StoredRefresh> {
        let rotation = self.rotation.as_ref()?;
        Some(StoredRefresh {
            current: rotation.newest().clone(),
            previous: rotation.previous().cloned(),
            family: self.family.clone(),
        })
    }

    /// The store now contains this token. If it is the newest, it may be redeemed.
    pub(crate) fn set_durable(&mut self, token: &RefreshToken) {
        if let Some(rotation) = &mut self.rotation {
            rotation.newest_is_durable |= rotation.newest().same_as(token);
        }
        self.drop_if_durable();
    }

    /// Drops the tokens from memory once no redemption needs them and the store has the newest.
    fn drop_if_durable(&mut self) {
        self.rotation.take_if(|rotation| rotation.newest_is_durable && rotation.in_flight == 0);
    }
}

impl Rotation {
    fn newest(&self) -> &RefreshToken {
        self.successor.as_ref().unwrap_or(&self.active)
    }

    fn previous(&self) -> Option<&RefreshToken> {
        if self.successor.is_some() { Some(&self.active) } else { self.previous.as_ref() }
    }

    fn start_redemption(&mut self) -> RefreshToken {
        if self.in_flight == 0
            && self.newest_is_durable
            && let Some(successor) = self.successor.take()
        {
            self.previous = Some(std::mem::replace(&mut self.active, successor));
        }
        self.in_flight += 1;
        self.active.clone()
    }

    fn finish_redemption(&mut self, successor: Option<RefreshToken>) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(successor) = successor {
            // The active token has now been redeemed, so its predecessor is no longer needed.
            self.previous = None;
            self.successor = Some(successor);
            self.newest_is_durable = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> RefreshToken {
        RefreshToken::new(text.into())
    }

    fn held(text: &str) -> RefreshEntry {
        let mut entry = RefreshEntry::new(None, 1);
        entry.load_from_store(StoredRefresh::new(token(text), None));
        entry
    }

    fn started(entry: &mut RefreshEntry) -> String {
        entry.start_redemption().unwrap().0.expose().to_owned()
    }

    fn pending_write(entry: &RefreshEntry) -> Option<(String, Option<String>)> {
        let text = |token: &RefreshToken| token.expose().to_owned();
        entry
            .pending_write()
            .map(|stored| (text(&stored.current), stored.previous.as_ref().map(text)))
    }

    #[test]
    fn a_successor_is_not_used_while_its_predecessor_is_in_flight() {
        let mut entry = held("1");
        assert_eq!(started(&mut entry), "1");
        assert_eq!(started(&mut entry), "1");
        entry.finish_redemption(Some(token("2")));
        entry.set_durable(&token("2"));
        assert_eq!(started(&mut entry), "1", "another redemption of 1 is still in flight");
        entry.finish_redemption(Some(token("3")));
        entry.finish_redemption(None);
        assert_eq!(pending_write(&entry), Some(("3".into(), Some("1".into()))));
        entry.set_durable(&token("3"));
        assert!(entry.start_redemption().is_none(), "the store has the newest");
    }

    #[test]
    fn the_token_before_is_kept_until_the_new_one_has_been_used() {
        let mut entry = held("1");
        started(&mut entry);
        entry.finish_redemption(Some(token("2")));
        assert_eq!(pending_write(&entry), Some(("2".into(), Some("1".into()))));
        let mut entry = RefreshEntry::new(None, 1);
        let stored =
            StoredRefresh { previous: Some(token("1")), ..StoredRefresh::new(token("2"), None) };
        entry.load_from_store(stored);
        let (active, spare) = entry.start_redemption().unwrap();
        assert_eq!((active.expose(), spare.unwrap().expose()), ("2", "1"));
        assert_eq!(pending_write(&entry), Some(("2".into(), Some("1".into()))));
        entry.finish_redemption(Some(token("3")));
        assert_eq!(pending_write(&entry), Some(("3".into(), Some("2".into()))));
    }

    #[test]
    fn a_token_is_here_only_while_it_is_redeemed_or_newer_than_the_store() {
        let mut entry = held("1");
        started(&mut entry);
        assert!(pending_write(&entry).is_some());
        entry.finish_redemption(None);
        assert!(pending_write(&entry).is_none(), "it was not rotated");
        entry.load_from_store(StoredRefresh::new(token("1"), None));
        started(&mut entry);
        entry.finish_redemption(Some(token("2")));
        entry.load_from_store(StoredRefresh::new(token("1"), None));
        assert_eq!(pending_write(&entry).unwrap().0, "2", "the store has an older one");
        entry.set_durable(&token("1"));
        assert_eq!(pending_write(&entry).unwrap().0, "2");
        entry.set_durable(&token("2"));
        assert!(pending_write(&entry).is_none());
    }
}
