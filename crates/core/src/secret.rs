//! One type per secret (invariant I5).
//!
//! The bytes of a secret are wiped when its last owner is dropped. `Debug` prints only the name of
//! the type, and there is no `Display`, no `PartialEq` and no serialisation. Only [`expose`] returns
//! the secret, so a search for it finds every reader. Clones share the bytes.
//!
//! [`expose`]: AccessToken::expose

use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

macro_rules! secret_text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name(Arc<Zeroizing<String>>);

        impl $name {
            /// Takes ownership of the secret text.
            #[must_use]
            pub fn new(text: String) -> Self {
                Self(Arc::new(Zeroizing::new(text)))
            }

            /// The secret itself. The caller must not log it, or put it into an error or into the
            /// arguments of a program.
            #[must_use]
            pub fn expose(&self) -> &str {
                &self.0
            }

            /// Compares two secrets in time that depends only on their lengths.
            #[must_use]
            pub fn same_as(&self, other: &Self) -> bool {
                self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    };
}

macro_rules! shared_secret_text {
    ($(#[$doc:meta])* $name:ident) => {
        secret_text!($(#[$doc])* $name);

        impl Clone for $name {
            fn clone(&self) -> Self {
                Self(Arc::clone(&self.0))
            }
        }
    };
}

shared_secret_text! {
    /// An access token, which a resource accepts as authorization, RFC 6749 §1.4.
    AccessToken
}
shared_secret_text! {
    /// A refresh token, which the token endpoint exchanges for new access tokens, RFC 6749 §1.5. It
    /// never leaves the broker (invariant I1).
    RefreshToken
}
shared_secret_text! {
    /// An id token: a signed statement about the person who signed in, OpenID Connect Core §2. It
    /// holds personal data, so it is treated as a secret.
    IdToken
}
shared_secret_text! {
    /// The content of a browser single sign-on cookie, \[MS-OAPXBC\] §3.2.5.1.3.
    SsoCookieContent
}
shared_secret_text! {
    /// A signed HTTP request: proof of possession of the key an access token is bound to,
    /// draft-ietf-oauth-signed-http-request §3.
    SignedHttpRequest
}
secret_text! {
    /// The one-time code of the authorization endpoint, RFC 6749 §4.1.2. Not `Clone`: it is redeemed
    /// once.
    AuthorizationCode
}
secret_text! {
    /// The address that a person copied from a browser: the answer of the authorization endpoint with
    /// its code. Not `Clone`: it is read once.
    PastedAnswer
}
secret_text! {
    /// The PKCE verifier, RFC 7636 §4.1. Not `Clone`: it belongs to one authorization request.
    CodeVerifier
}

/// The 32-byte key that seals every record at rest (invariant I4).
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// Takes ownership of the key.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key itself.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_prints_only_the_name_of_the_type() {
        assert_eq!(format!("{:?}", AccessToken::new("eyJ.secret".into())), "AccessToken");
        assert_eq!(format!("{:?}", MasterKey::new([7; 32])), "MasterKey");
    }

    #[test]
    fn comparison_is_by_content() {
        let one = RefreshToken::new("a".into());
        assert!(one.same_as(&one.clone()));
        assert!(!one.same_as(&RefreshToken::new("b".into())));
        assert!(!one.same_as(&RefreshToken::new("ab".into())));
    }
}
