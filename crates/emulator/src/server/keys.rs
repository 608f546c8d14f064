//! The key that signs tokens, and the published set of keys (RFC 7515, RFC 7517).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::server::error::Error;

/// An RSA-2048 key, new in every run.
pub(crate) struct Keys {
    pair: RsaKeyPair,
    key_id: String,
}

/// Whether the signature of a token is valid.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Signature {
    Good,
    Wrong,
}

impl Keys {
    pub(crate) fn generate() -> Result<Self, Error> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048)
            .map_err(|_| Error::Certificates("no RSA key".into()))?;
        let digest =
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, pair.public_key().as_ref());
        let key_id = URL_SAFE_NO_PAD.encode(&digest.as_ref()[..20]);
        Ok(Self { pair, key_id })
    }

    /// The compact JWT of `claims`.
    #[expect(clippy::expect_used, reason = "signing a short text with a key made here cannot fail")]
    pub(crate) fn sign(&self, claims: &Value, signature: Signature) -> String {
        let header = json!({"typ": "JWT", "alg": "RS256", "kid": self.key_id, "x5t": self.key_id});
        let [header, claims] =
            [header, claims.clone()].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let mut bytes = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut bytes)
            .expect("the key signs");
        if signature == Signature::Wrong {
            bytes[0] ^= 1;
        }
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The claims of a JWT that this key signed; `None` for any other text.
    pub(crate) fn verify(&self, jwt: &str) -> Option<Value> {
        let (signed, signature) = jwt.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let [header, claims, signature] =
            [header, claims, signature].map(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let header: Value = serde_json::from_slice(&header?).ok()?;
        if header["alg"] != "RS256" || header["kid"] != self.key_id.as_str() {
            return None;
        }
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.pair.public_key().as_ref())
            .verify(signed.as_bytes(), &signature?)
            .ok()?;
        serde_json::from_slice(&claims?).ok()
    }

    /// The JWK set. Entra adds `issuer` to each key.
    pub(crate) fn key_set(&self, issuer: &str) -> Value {
        let public = self.pair.public_key();
        json!({"keys": [{
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.key_id,
            "x5t": self.key_id,
            "n": URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero()),
            "e": URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero()),
            "issuer": issuer,
        }]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_this_key_signed_and_nobody_changed_verifies() {
        let (keys, others) = (Keys::generate().unwrap(), Keys::generate().unwrap());
        let claims = json!({"aud": "a"});
        let good = keys.sign(&claims, Signature::Good);
        assert_eq!(keys.verify(&good), Some(claims.clone()));
        for bad in [
            keys.sign(&claims, Signature::Wrong),
            others.sign(&claims, Signature::Good),
            good.replace('.', ""),
            String::new(),
        ] {
            assert_eq!(keys.verify(&bad), None);
        }
    }
}
