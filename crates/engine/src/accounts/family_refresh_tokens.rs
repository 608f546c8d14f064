/// Whether an app may use the refresh token of another app of its family, and so get tokens without
/// a sign-in of its own.
///
/// Entra counts some of Microsoft's own apps to one family (`foci` in the token reply): Azure CLI,
/// Azure PowerShell, Visual Studio, Office, Teams, OneDrive and others. No app outside is affected,
/// and never another account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(clippy::exhaustive_enums, reason = "the whole policy")]
pub enum FamilyRefreshTokens {
    /// An app uses its own refresh token only. The default: whoever can reach the broker can name
    /// any app, so with families shared a sign-in for Azure CLI also opens, without asking anybody,
    /// what Office or Teams may read: mail, files and chats.
    #[default]
    Off,
    /// An app without a refresh token uses that of another of its family. Fewer sign-ins, and what
    /// every app of the family may do is open to every program of the user.
    SameFamily,
}
