use std::fs::{DirBuilder, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use keybearer_core::{Error, Result};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, Stat, fchmod, fstat, fsync, open, openat,
    renameat, renameat_with, unlinkat,
};
use rustix::io::Errno;
use zeroize::Zeroizing;

/// A directory that only this user can enter. It is held open, and its files are opened relative to
/// it, so another process cannot replace the directory between two operations.
#[derive(Debug)]
pub struct PrivateDir {
    handle: OwnedFd,
    path: PathBuf,
}

/// Opens the directory. Creates it (0700) and its parents if they are missing.
///
/// # Errors
/// `Internal` with a hint if it is a symbolic link, belongs to another user, is accessible to others
/// or cannot be created.
pub fn private_dir(path: &Path) -> Result<PrivateDir> {
    let failed = |error: std::io::Error| {
        Error::internal(format!("could not create the directory {}", path.display()))
            .with_source(error)
    };
    match DirBuilder::new().recursive(true).mode(0o700).create(path) {
        Ok(()) => {}
        Err(error)
            if path.symlink_metadata().is_ok()
                && error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => {
            return Err(failed(error).with_hint(
                "make its parent directory writable for you, and make room on its disk",
            ));
        }
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = open(path, flags, Mode::empty()).map_err(|error| refused(path, error))?;
    let status = fstat(&handle).map_err(|error| failed(error.into()))?;
    check(path, &status, FileType::Directory, own_uid())?;
    Ok(PrivateDir { handle, path: path.to_owned() })
}

impl PrivateDir {
    /// The path of the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file for reading and writing; `None` if there is none. It must be a regular file with
    /// one name, owned by this user and closed to others.
    pub(crate) fn open_file(&self, name: &str) -> Result<Option<File>> {
        let path = self.path.join(name);
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match openat(&self.handle, name, flags, Mode::empty()) {
            Ok(file) => {
                let status = fstat(&file).map_err(|error| refused(&path, error))?;
                check(&path, &status, FileType::RegularFile, own_uid())?;
                Ok(Some(file.into()))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(refused(&path, error)),
        }
    }

    /// Creates a new file with mode 0600, regardless of the umask.
    pub(crate) fn create_file(&self, name: &str) -> Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let owner_only = Mode::RUSR | Mode::WUSR;
        let file = openat(&self.handle, name, flags | OFlags::CLOEXEC, owner_only)
            .and_then(|file| fchmod(&file, owner_only).map(|()| file))
            .map_err(|error| self.failed("create", name, error))?;
        Ok(file.into())
    }

    /// Whether something of this name is there.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.path.join(name).symlink_metadata().is_ok()
    }

    /// The content of a small file.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let Some(file) = self.open_file(name)? else { return Ok(None) };
        let mut content = Zeroizing::new(Vec::with_capacity(4096));
        file.take(4096).read_to_end(&mut content).map_err(|error| {
            let path = self.path.join(name);
            Error::internal(format!("could not read {}", path.display()))
                .with_source(error)
                .with_hint("check the health of the disk")
        })?;
        Ok(Some(content))
    }

    /// Creates a file with this content, atomically, and durable on return. Returns `false` and
    /// changes nothing if the file exists.
    pub(crate) fn write_new(&self, name: &str, content: &[u8]) -> Result<bool> {
        let temporary = format!(".{name}.{}", std::process::id());
        self.remove_file(&temporary)?;
        let mut file = self.create_file(&temporary)?;
        let written = file.write_all(content).and_then(|()| file.sync_all());
        let outcome = written
            .map_err(|error| {
                let path = self.path.join(name);
                Error::internal(format!("could not write {}", path.display()))
                    .with_source(error)
                    .with_hint("make room on the disk")
            })
            .and_then(|()| self.rename_new(&temporary, name));
        if !matches!(outcome, Ok(true)) {
            self.remove_file(&temporary)?;
        }
        outcome
    }

    /// Renames a file unless the new name exists; durable on return. Returns whether it did.
    pub(crate) fn rename_new(&self, from: &str, to: &str) -> Result<bool> {
        let dir = self.handle.as_fd();
        let renamed = match renameat_with(dir, from, dir, to, RenameFlags::NOREPLACE) {
            // Some file systems cannot do this atomically. Only one process at a time uses the
            // directory, so checking first is enough.
            Err(Errno::INVAL | Errno::NOSYS) if self.open_file(to)?.is_none() => {
                renameat(dir, from, dir, to)
            }
            other => other,
        };
        match renamed {
            Ok(()) => fsync(dir).map(|()| true).map_err(|error| self.failed("sync", to, error)),
            Err(Errno::EXIST | Errno::INVAL | Errno::NOSYS) => Ok(false),
            Err(error) => Err(self.failed("rename to", to, error)),
        }
    }

    /// Gives a file the name of another, which it replaces in one step; durable on return.
    pub(crate) fn replace_file(&self, from: &str, to: &str) -> Result<()> {
        let dir = self.handle.as_fd();
        renameat(dir, from, dir, to)
            .and_then(|()| fsync(dir))
            .map_err(|error| self.failed("replace", to, error))
    }

    /// Removes a file; it is no error if it is absent.
    pub(crate) fn remove_file(&self, name: &str) -> Result<()> {
        match unlinkat(&self.handle, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(self.failed("remove", name, error)),
        }
    }

    fn failed(&self, verb: &str, name: &str, error: Errno) -> Error {
        let path = self.path.join(name);
        Error::internal(format!("could not {verb} {}", path.display()))
            .with_source(std::io::Error::from(error))
            .with_hint("make room on the disk and the directory writable for you")
    }
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Checks a state file or directory: it must have the expected type, belong to this user, be closed
/// to other users, and have one name only. Otherwise another user may have prepared it.
fn check(path: &Path, status: &Stat, expected: FileType, uid: u32) -> Result<()> {
    let shown = path.display();
    let found = FileType::from_raw_mode(status.st_mode);
    if found != expected {
        return Err(Error::internal(format!(
            "could not open {shown}: it is a {found:?}, not a {expected:?}"
        ))
        .with_hint(format!("move {shown} away")));
    }
    if status.st_uid != uid {
        let owner = status.st_uid;
        return Err(Error::internal(format!(
            "could not open {shown}: it belongs to user {owner}, not {uid}"
        ))
        .with_hint(format!("find out which program made it, then move {shown} away")));
    }
    let mode = status.st_mode & 0o777;
    if mode & 0o077 != 0 {
        let wanted = if expected == FileType::Directory { "700" } else { "600" };
        return Err(Error::internal(format!(
            "could not open {shown}: others may access it (mode {mode:o})"
        ))
        .with_hint(format!("run: chmod {wanted} '{shown}'")));
    }
    if expected == FileType::RegularFile && status.st_nlink != 1 {
        let names = status.st_nlink;
        return Err(Error::internal(format!("could not open {shown}: the file has {names} names"))
            .with_hint("remove the other hard links to it"));
    }
    Ok(())
}

fn refused(path: &Path, error: Errno) -> Error {
    let shown = path.display();
    match error {
        Errno::LOOP => Error::internal(format!("could not open {shown}: it is a symbolic link"))
            .with_hint(format!("replace it with a real directory or file, or move {shown} away")),
        Errno::NOTDIR => {
            Error::internal(format!("could not open {shown}: it is not a real directory"))
                .with_hint(format!("move {shown} away"))
        }
        error => Error::internal(format!("could not open {shown}"))
            .with_source(std::io::Error::from(error))
            .with_hint("make it readable and writable for you alone"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn only_what_is_ours_alone_is_accepted() {
        let temporary = tempfile::tempdir().unwrap();
        let file = File::create(temporary.path().join("file")).unwrap();
        let status = |mode: u32, uid: u32, names: u64| {
            let mut status = fstat(&file).unwrap();
            status.st_mode = mode;
            status.st_uid = uid;
            #[allow(clippy::useless_conversion, reason = "its width depends on the platform")]
            {
                status.st_nlink = names.try_into().unwrap();
            }
            status
        };
        for (case, problem) in [
            (status(0o100_600, 7, 1), None),
            (status(0o100_600, 0, 1), Some("belongs to user 0, not 7")),
            (status(0o100_640, 7, 1), Some("others may access it (mode 640)")),
            (status(0o100_602, 7, 1), Some("others may access it (mode 602)")),
            (status(0o100_600, 7, 2), Some("2 names")),
            (status(0o010_600, 7, 1), Some("it is a Fifo")),
            (status(0o040_700, 7, 1), Some("it is a Directory")),
        ] {
            let outcome = check(Path::new("/x"), &case, FileType::RegularFile, 7);
            match problem {
                None => outcome.unwrap(),
                Some(text) => {
                    let error = outcome.unwrap_err();
                    assert!(error.message().contains(text) && error.hint().is_some(), "{error}");
                }
            }
        }
    }

    #[test]
    fn a_directory_is_made_0700_with_its_parents_and_files_0600() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = private_dir(&temporary.path().join("a/b")).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(dir.path()), 0o700);
        assert!(dir.write_new("f", b"one").unwrap());
        assert_eq!(mode(&dir.path().join("f")), 0o600);
        assert!(!dir.write_new("f", b"two").unwrap(), "a file is never replaced");
        assert_eq!(&**dir.read("f").unwrap().unwrap(), b"one");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
        private_dir(dir.path()).unwrap();
    }

    #[test]
    fn links_and_open_directories_are_refused_with_the_remedy() {
        let temporary = tempfile::tempdir().unwrap();
        let at = |name: &str| temporary.path().join(name);
        let dir = private_dir(&at("real")).unwrap();
        symlink(at("real"), at("link")).unwrap();
        symlink(at("nowhere"), at("dangling")).unwrap();
        std::fs::create_dir(at("open")).unwrap();
        std::fs::set_permissions(at("open"), PermissionsExt::from_mode(0o755)).unwrap();
        File::create(at("file")).unwrap();
        for name in ["link", "dangling", "open", "file"] {
            let error = private_dir(&at(name)).unwrap_err();
            assert!(error.hint().is_some(), "{name}: {error:?}");
        }
        symlink(at("file"), dir.path().join("f")).unwrap();
        assert!(dir.open_file("f").unwrap_err().message().contains("symbolic link"));
        assert!(dir.create_file("f").is_err());
        std::fs::hard_link(at("file"), dir.path().join("g")).unwrap();
        assert!(dir.open_file("g").is_err());
    }
}
