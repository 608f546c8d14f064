/// Whether an app may use the refresh token of another app of its family, and so gets tokens
/// without a separate sign-in.
///
/// Entra puts some of Microsoft's own apps into one family (`foci` in the token response): Azure
/// CLI, Azure PowerShell, Visual Studio, Office, Teams, OneDrive and others. The setting affects no
/// other app, and never lets an app use another account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FamilyRefreshTokens {
    /// An app uses only its own refresh token. This is the default, because a program that can
    /// reach the broker can name any app: with shared families, a sign-in for Azure CLI would also
    /// give every program of the user, without a prompt, what Office or Teams may read: mail, files
    /// and chats.
    #[default]
    Off,
    /// An app without a refresh token uses that of another app of its family. The person signs in
    /// less often, and every program of the user gets the permissions of every app of the family.
    SameFamily,
}
