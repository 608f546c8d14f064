/// The first directory, `contoso.example`.
pub const CONTOSO: &str = "11111111-1111-4111-8111-111111111111";

/// The second directory, `fabrikam.example`.
pub const FABRIKAM: &str = "22222222-2222-4222-8222-222222222222";

/// The client id of tests: the Azure development app.
pub const APP: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";

/// A user of the provider.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct User {
    /// The user principal name.
    pub username: &'static str,
    /// The display name.
    pub name: &'static str,
    /// The object id.
    pub oid: &'static str,
    /// The home directory.
    pub home: &'static str,
}

impl User {
    /// The user with this user principal name.
    #[must_use]
    pub fn named(username: &str) -> Option<Self> {
        USERS.iter().find(|user| user.username == username).copied()
    }

    /// The identity across directories.
    #[must_use]
    pub fn home_account_id(&self) -> String {
        format!("{}.{}", self.oid, self.home)
    }
}

/// All users of the provider.
pub const USERS: [User; 3] = [DEV, OPS, GUEST];

/// A user of the first directory.
pub const DEV: User = User {
    username: "dev@contoso.example",
    name: "Dev",
    oid: "aaaaaaaa-0000-4000-8000-000000000001",
    home: CONTOSO,
};

/// A user of the first directory.
pub const OPS: User = User {
    username: "ops@contoso.example",
    name: "Ops",
    oid: "aaaaaaaa-0000-4000-8000-000000000002",
    home: CONTOSO,
};

/// A user of the second directory, and a guest in the first.
pub const GUEST: User = User {
    username: "guest@fabrikam.example",
    name: "Guest",
    oid: "aaaaaaaa-0000-4000-8000-000000000003",
    home: FABRIKAM,
};

/// The GUID of a directory, by GUID or domain name.
pub(crate) fn directory(name: &str) -> Option<&'static str> {
    match name {
        CONTOSO | "contoso.example" => Some(CONTOSO),
        FABRIKAM | "fabrikam.example" => Some(FABRIKAM),
        _ => None,
    }
}
