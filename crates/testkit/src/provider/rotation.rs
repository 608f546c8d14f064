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

    /// Shows a token; `None` if it is refused.
    pub(crate) fn redeem(&mut self, token: &str, client: &str) -> Option<Redeemed> {
        let &(index, generation) = self.tokens.get(token)?;
        let owner = self.families[index].client.as_str();
        let serves = owner == client || (self.shares(owner) && self.shares(client));
        let family = &mut self.families[index];
        if family.revoked || !serves {
            return None;
        }
        if generation < family.used {
            family.revoked = true;
            self.reuses += 1;
            return None;
        }
        family.used = generation;
        Some(Redeemed { user: family.user, family: index, generation })
    }

    /// Issues the successor.
    pub(crate) fn succeed(&mut self, redeemed: &Redeemed, token: &str) {
        self.tokens.insert(token.to_owned(), (redeemed.family, redeemed.generation + 1));
    }

    /// Whose token this is, whether or not it is still good.
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
        assert!(rotation.redeem("2b", "app").is_some());
        assert_eq!(rotation.reuses(), 0);
        assert!(rotation.redeem("1", "app").is_none());
        assert!(rotation.redeem("3", "app").is_none(), "the family is revoked");
        assert_eq!(rotation.reuses(), 1);
    }

    #[test]
    fn a_token_is_for_one_app() {
        let mut rotation = Rotation::default();
        rotation.begin(DEV, "app", "1");
        assert!(rotation.redeem("1", "other").is_none());
        assert!(rotation.redeem("unknown", "app").is_none());
    }
}
