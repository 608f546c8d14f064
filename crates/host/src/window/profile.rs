use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keybearer_core::{Error, Result};
use keybearer_engine::Random;
use rustix::fs::{FlockOperation, flock};

use crate::private_dir::{PrivateDir, private_dir};
use crate::random::random_hex;

/// How many sign-in windows may be open at the same time.
const SLOTS: usize = 8;
/// Left by a browser that was killed. Chromium refuses to start if the lock has the name of another
/// machine.
const BROWSER_LOCKS: [&str; 3] = ["SingletonLock", "SingletonSocket", "SingletonCookie"];

/// Where the browser profiles of sign-in windows are.
#[derive(Clone, Debug)]
pub(crate) enum Profiles {
    /// In this directory, permanently: the provider's session serves the next app.
    Kept(PathBuf),
    /// In this directory, each removed after use.
    Temporary(PathBuf, Arc<dyn Random>),
}

/// A profile for exclusive use as long as this value lives.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) path: PathBuf,
    /// Held for its lock.
    _lock: Option<File>,
    temporary: bool,
}

impl Profiles {
    /// A free profile: usually the first. A concurrent sign-in gets the next one, which has a separate
    /// session at the provider.
    ///
    /// # Errors
    /// `Internal` if the directory is not private or cannot be created, or no profile is free.
    pub(super) fn take(&self) -> Result<Profile> {
        match self {
            Self::Kept(directory) => {
                let directory = private_dir(directory)?;
                for slot in 1..=SLOTS {
                    if let Some(profile) = locked(&directory, &format!("profile-{slot}"))? {
                        return Ok(profile);
                    }
                }
                Err(Error::internal("could not open a sign-in window: too many are open")
                    .with_hint("close the sign-in windows that you do not need"))
            }
            Self::Temporary(directory, random) => {
                let name = format!("keybearer-window-{}", random_hex(&**random, 8));
                let path = private_dir(&directory.join(name))?.path().to_owned();
                Ok(Profile { path, _lock: None, temporary: true })
            }
        }
    }
}

/// The profile of this name, unless it is in use.
fn locked(directory: &PrivateDir, name: &str) -> Result<Option<Profile>> {
    let lock_name = format!("{name}.lock");
    let lock = match directory.open_file(&lock_name)? {
        Some(lock) => lock,
        // Another process may have just created it.
        None => match directory.create_file(&lock_name) {
            Ok(lock) => lock,
            Err(error) => directory.open_file(&lock_name)?.ok_or(error)?,
        },
    };
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(None);
    }
    let path = private_dir(&directory.path().join(name))?.path().to_owned();
    if was_left_elsewhere(&path) {
        for name in BROWSER_LOCKS {
            // If this fails, the browser does not start, and that is reported.
            let _ = std::fs::remove_file(path.join(name));
        }
    }
    Ok(Some(Profile { path, _lock: Some(lock), temporary: false }))
}

/// Whether the browser's lock is from a machine with another name, such as an earlier container with
/// the same disk. The lock reads `host-pid`; Chromium itself handles locks of this machine.
fn was_left_elsewhere(profile: &Path) -> bool {
    let Ok(owner) = std::fs::read_link(profile.join(BROWSER_LOCKS[0])) else { return false };
    let machine = rustix::system::uname();
    let machine = machine.nodename().to_string_lossy();
    let host = owner.to_str().and_then(|owner| Some(owner.rsplit_once('-')?.0));
    host.is_none_or(|host| host != machine)
}

impl Drop for Profile {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            tracing::debug!(%error, "could not remove the profile of the sign-in window");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::random::SystemRandom;

    #[test]
    fn a_profile_is_private_and_used_by_one_sign_in_at_a_time() {
        let temporary = tempfile::tempdir().unwrap();
        let profiles = Profiles::Kept(temporary.path().join("window"));
        let first = profiles.take().unwrap();
        let second = profiles.take().unwrap();
        assert_ne!(first.path, second.path);
        for path in [&first.path, &second.path] {
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        }
        let usual = first.path.clone();
        drop(first);
        assert_eq!(profiles.take().unwrap().path, usual, "its session serves the next app");
        let all: Vec<Profile> = (1..SLOTS).map(|_| profiles.take().unwrap()).collect();
        assert!(profiles.take().unwrap_err().hint().is_some());
        drop(all);
    }

    #[test]
    fn a_temporary_profile_is_gone_after_use() {
        let temporary = tempfile::tempdir().unwrap();
        let random = Arc::new(SystemRandom);
        let profile = Profiles::Temporary(temporary.path().into(), random).take().unwrap();
        std::fs::write(profile.path.join("Cookies"), "x").unwrap();
        drop(profile);
        assert_eq!(temporary.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn a_lock_of_another_machine_is_removed_and_one_of_this_machine_is_the_browsers_business() {
        let temporary = tempfile::tempdir().unwrap();
        let profiles = Profiles::Kept(temporary.path().join("window"));
        let path = profiles.take().unwrap().path.clone();
        let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
        for (owner, stays) in [("elsewhere-12".to_owned(), false), (format!("{machine}-12"), true)]
        {
            let lock = path.join("SingletonLock");
            symlink(&owner, &lock).unwrap();
            profiles.take().unwrap();
            assert_eq!(lock.symlink_metadata().is_ok(), stays, "{owner}");
        }
    }
}
