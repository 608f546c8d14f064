use keybearer_core::RefreshToken;

/// The refresh token of one account for one app, and its neighbours in the rotation.
pub(crate) struct RefreshEntry {
    active: RefreshToken,
    successor: Option<RefreshToken>,
    previous: Option<RefreshToken>,
    newest_is_durable: bool,
    in_flight: u32,
    family: Option<String>,
    /// Tells entries apart when a new sign-in replaces one in mid-flight.
    generation: u64,
}

impl RefreshEntry {
    /// A token nobody has redeemed yet, and which is in the store.
    pub(crate) fn new(
        current: RefreshToken,
        previous: Option<RefreshToken>,
        family: Option<String>,
    ) -> Self {
        Self {
            active: current,
            successor: None,
            previous,
            newest_is_durable: true,
            in_flight: 0,
            family,
            generation: 0,
        }
    }

    /// What to redeem next time nothing is in flight.
    pub(crate) fn newest(&self) -> &RefreshToken {
        self.successor.as_ref().unwrap_or(&self.active)
    }

    /// The one before, kept until the newest has been used once.
    pub(crate) fn previous(&self) -> Option<&RefreshToken> {
        if self.successor.is_some() { Some(&self.active) } else { self.previous.as_ref() }
    }

    /// What may be redeemed if the provider refuses what [`start`](Self::start) gave.
    pub(crate) fn spare(&self) -> Option<&RefreshToken> {
        self.previous.as_ref()
    }

    /// The same as the entry of this number.
    pub(crate) fn with_generation(self, generation: u64) -> Self {
        Self { generation, ..self }
    }

    /// Which entry it is.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// The store holds this token; if it is the newest, it may be used.
    pub(crate) fn set_durable(&mut self, token: &RefreshToken) {
        self.newest_is_durable |= self.newest().same_as(token);
    }

    /// The family of apps that may redeem it, if the provider named one.
    pub(crate) fn family(&self) -> Option<&str> {
        self.family.as_deref()
    }

    /// What to redeem now, which [`land`](Self::land) has to end.
    pub(crate) fn start(&mut self) -> RefreshToken {
        if self.in_flight == 0
            && self.newest_is_durable
            && let Some(successor) = self.successor.take()
        {
            self.previous = Some(std::mem::replace(&mut self.active, successor));
        }
        self.in_flight += 1;
        self.active.clone()
    }

    /// Ends one redemption.
    pub(crate) fn land(&mut self, successor: Option<RefreshToken>) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(successor) = successor {
            // The active token has now been used, so the one before it is spent.
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

    #[test]
    fn a_successor_is_not_used_while_its_predecessor_is_in_flight() {
        let mut entry = RefreshEntry::new(token("1"), None, None);
        assert_eq!(entry.start().expose(), "1");
        assert_eq!(entry.start().expose(), "1");
        entry.land(Some(token("2")));
        assert_eq!(entry.start().expose(), "1", "another redemption of 1 is still in flight");
        entry.land(Some(token("3")));
        entry.land(None);
        entry.set_durable(&token("3"));
        assert_eq!(entry.start().expose(), "3");
    }

    #[test]
    fn the_previous_token_is_kept_until_the_new_one_has_been_used() {
        let mut entry = RefreshEntry::new(token("1"), None, None);
        entry.start();
        entry.land(Some(token("2")));
        assert_eq!((entry.newest().expose(), entry.previous().unwrap().expose()), ("2", "1"));
        entry.set_durable(&token("2"));
        entry.start();
        assert_eq!((entry.newest().expose(), entry.previous().unwrap().expose()), ("2", "1"));
        entry.land(Some(token("3")));
        assert_eq!((entry.newest().expose(), entry.previous().unwrap().expose()), ("3", "2"));
    }
}
