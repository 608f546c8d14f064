use std::collections::HashMap;

use super::directory::User;

/// Refresh tokens that rotate, with re-use detection: a token may be redeemed again as long as
/// none of its successors has been redeemed (one step of grace); after that its re-use revokes the
/// whole family.
#[derive(Debug, Default)]
pub(crate) struct Rotation {
    families: Vec<Family>,
    tokens: HashMap<String, (usize, u64)>,
    reuses: usize,
    /// Apps that share their refresh tokens.
    sharing: Vec<String>,
}

#[derive(Debug)]
struct Family {
    user: User,
    client: String,
    /// The highest generation redeemed so far.
    used: u64,
    revoked: bool,
}

/// Why a redemption was not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// The token was issued to another app.
    OtherApp,
    /// The token is unknown or revoked.
    Revoked,
}

/// A redemption that was accepted.
pub(crate) struct Redeemed {
    pub(crate) user: User,
    family: usize,
    generation: u64,
}

impl Rotation {
    /// Lets these apps use each other's refresh tokens.
    pub(crate) fn share(&mut self, clients: &[&str]) {
        self.sharing = clients.iter().map(|client| (*client).to_owned()).collect();
    }

    /// Whether the app is one of those.
    pub(crate) fn shares(&self, client: &str) -> bool {
        self.sharing.iter().any(|member| member == client)
    }

    /// A sign-in: the first token of a family.
    pub(crate) fn begin(&mut self, user: User, client: &str, token: &str) {
        let family = Family { user, client: client.to_owned(), used: 0, revoked: false };
        self.families.push(family);
        self.tokens.insert(token.to_owned(), (self.families.len() - 1, 1));
    }

    /// Redeems a token.
    pub(crate) fn redeem(&mut self, token: &str, client: &str) -> Result<Redeemed, Refusal> {
        let &(index, generation) = self.tokens.get(token).ok_or(Refusal::Revoked)?;
        let owner = self.families[index].client.as_str();
        let serves = owner == client || (self.shares(owner) && self.shares(client));
        let family = &mut self.families[index];
        if !serves {
            return Err(Refusal::OtherApp);
        }
        if family.revoked {
            return Err(Refusal::Revoked);
        }
        if generation < family.used {
            family.revoked = true;
            self.reuses += 1;
            return Err(Refusal::Revoked);
        }
        family.used = generation;
        Ok(Redeemed { user: family.user, family: index, generation })
    }

    /// Issues the successor.
    pub(crate) fn succeed(&mut self, redeemed: &Redeemed, token: &str) {
        self.tokens.insert(token.to_owned(), (redeemed.family, redeemed.generation + 1));
    }

    /// The user of this token, whether or not the token is still valid.
    pub(crate) fn owner(&self, token: &str) -> Option<User> {
        self.tokens.get(token).map(|(family, _)| self.families[*family].user)
    }

    /// Ends every session of a user.
    pub(crate) fn revoke(&mut self, user: User) {
        for family in self.families.iter_mut().filter(|family| family.user == user) {
            family.revoked = true;
        }
    }

    /// How often re-use was detected.
    pub(crate) const fn reuses(&self) -> usize {
        self.reuses
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::DEV;

    #[test]
    fn a_token_is_good_until_a_successor_has_been_used() {
        let mut rotation = Rotation::default();
        rotation.begin(DEV, "app", "1");
        let first = rotation.redeem("1", "app").unwrap();
        rotation.succeed(&first, "2a");
        let again = rotation.redeem("1", "app").unwrap();
        rotation.succeed(&again, "2b");
        let second = rotation.redeem("2a", "app").unwrap();
        rotation.succeed(&second, "3");
        assert!(rotation.redeem("2b", "app").is_ok());
        assert_eq!(rotation.reuses(), 0);
        let refusal = |rotation: &mut Rotation, token| rotation.redeem(token, "app").err();
        assert_eq!(refusal(&mut rotation, "1"), Some(Refusal::Revoked));
        assert_eq!(refusal(&mut rotation, "3"), Some(Refusal::Revoked), "the family is revoked");
        assert_eq!(rotation.reuses(), 1);
    }

    #[test]
    fn a_token_is_for_one_app() {
        let mut rotation = Rotation::default();
        rotation.begin(DEV, "app", "1");
        assert_eq!(rotation.redeem("1", "other").err(), Some(Refusal::OtherApp));
        assert_eq!(rotation.redeem("unknown", "app").err(), Some(Refusal::Revoked));
    }
}
