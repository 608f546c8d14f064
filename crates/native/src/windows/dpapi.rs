use keybearer_core::{Error, Missing, Result};
use keybearer_host::KeySealer;
use windows::Win32::Foundation::{HLOCAL, LocalFree};
use windows::Win32::Security::Cryptography::{
    CRYPT_INTEGER_BLOB, CRYPTPROTECT_UI_FORBIDDEN, CryptProtectData, CryptUnprotectData,
};
use windows::core::w;
use zeroize::{Zeroize, Zeroizing};

/// The Data Protection API: the user's own key, which the sign-in to Windows unlocks.
#[derive(Clone, Copy, Debug)]
pub struct Dpapi;

impl KeySealer for Dpapi {
    fn seal(&self, plain: &[u8]) -> Result<Vec<u8>> {
        let (plain, mut sealed) = (blob(plain), CRYPT_INTEGER_BLOB::default());
        // SAFETY: `plain` points to bytes that live through the call, which does not write to
        // them; `sealed` receives memory that `take` frees.
        unsafe {
            CryptProtectData(
                &plain,
                w!("Key of the Keybearer token store"),
                None,
                None,
                None,
                CRYPTPROTECT_UI_FORBIDDEN,
                &mut sealed,
            )
        }
        .map_err(|error| refused("seal", error))?;
        Ok(take(sealed).to_vec())
    }

    fn unseal(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let (sealed, mut plain) = (blob(sealed), CRYPT_INTEGER_BLOB::default());
        // SAFETY: as in `seal`.
        unsafe {
            CryptUnprotectData(
                &sealed,
                None,
                None,
                None,
                None,
                CRYPTPROTECT_UI_FORBIDDEN,
                &mut plain,
            )
        }
        .map_err(|error| refused("open", error))?;
        Ok(take(plain))
    }
}

fn blob(bytes: &[u8]) -> CRYPT_INTEGER_BLOB {
    let length = u32::try_from(bytes.len()).unwrap_or_default();
    CRYPT_INTEGER_BLOB { cbData: length, pbData: bytes.as_ptr().cast_mut() }
}

/// Copies what the system handed out, wipes it and gives it back.
fn take(blob: CRYPT_INTEGER_BLOB) -> Zeroizing<Vec<u8>> {
    // SAFETY: a successful call left `cbData` bytes there, owned by no other code, to be freed with
    // `LocalFree`.
    unsafe {
        let bytes = std::slice::from_raw_parts_mut(blob.pbData, blob.cbData as usize);
        let copy = Zeroizing::new(bytes.to_vec());
        bytes.zeroize();
        LocalFree(Some(HLOCAL(blob.pbData.cast())));
        copy
    }
}

fn refused(verb: &str, error: windows::core::Error) -> Error {
    Error::unavailable(
        Missing::Key,
        format!("could not {verb} the key of the token store with DPAPI"),
    )
    .with_source(error)
    .with_hint("sign in again; another user or computer sealed the key, or the profile was reset")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_again_and_what_is_damaged_does_not() {
        let sealed = Dpapi.seal(b"thirty-two bytes of a master key").unwrap();
        assert!(!sealed.windows(8).any(|part| part == b"thirty-t"));
        assert_eq!(&**Dpapi.unseal(&sealed).unwrap(), b"thirty-two bytes of a master key");
        assert!(Dpapi.unseal(b"something else").is_err());
        assert!(Dpapi.unseal(&sealed[..sealed.len() / 2]).is_err());
    }
}
