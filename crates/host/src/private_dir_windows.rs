use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use keybearer_core::{Error, Result};
use zeroize::Zeroizing;

/// A directory of this user. Its parent directory decides about access: in the user's profile, the
/// user, the system and administrators have access, and files inherit that.
///
/// Only one process at a time uses the directory, so checking before renaming is enough.
#[derive(Debug)]
pub struct PrivateDir {
    path: PathBuf,
}

/// Opens the directory. Creates it and its parents if they are missing.
///
/// # Errors
/// `Internal` with a hint if it is a link, is not a directory or cannot be created.
pub fn private_dir(path: &Path) -> Result<PrivateDir> {
    let shown = path.display();
    std::fs::create_dir_all(path).map_err(|error| {
        Error::internal(format!("could not create the directory {shown}"))
            .with_source(error)
            .with_hint("make its parent directory writable for you")
    })?;
    let metadata = path.symlink_metadata().map_err(|error| {
        Error::internal(format!("could not open the directory {shown}"))
            .with_source(error)
            .with_hint("make it readable and writable for you")
    })?;
    if !metadata.is_dir() || metadata.is_symlink() {
        return Err(Error::internal(format!("could not open {shown}: it is not a real directory"))
            .with_hint(format!("move {shown} away")));
    }
    Ok(PrivateDir { path: path.to_owned() })
}

impl PrivateDir {
    /// The path of the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file for reading and writing; `None` if there is none.
    pub(crate) fn open_file(&self, name: &str) -> Result<Option<File>> {
        let path = self.path.join(name);
        match path.symlink_metadata() {
            Ok(metadata) if !metadata.is_file() => {
                let shown = path.display();
                return Err(Error::internal(format!(
                    "could not open {shown}: it is not a regular file"
                ))
                .with_hint(format!("move {shown} away")));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            _ => {}
        }
        let opened = File::options().read(true).write(true).open(&path);
        opened.map(Some).map_err(|error| self.failed("open", name, error))
    }

    /// Creates a new file.
    pub(crate) fn create_file(&self, name: &str) -> Result<File> {
        let mut options = File::options();
        let created = options.read(true).write(true).create_new(true).open(self.path.join(name));
        created.map_err(|error| self.failed("create", name, error))
    }

    /// Whether something of this name is there.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.path.join(name).symlink_metadata().is_ok()
    }

    /// The content of a small file.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let Some(file) = self.open_file(name)? else { return Ok(None) };
        let mut content = Zeroizing::new(Vec::with_capacity(4096));
        let read = file.take(4096).read_to_end(&mut content);
        read.map(|_| Some(content)).map_err(|error| self.failed("read", name, error))
    }

    /// Creates a file with this content, atomically. Returns `false` and changes nothing if the file
    /// exists.
    pub(crate) fn write_new(&self, name: &str, content: &[u8]) -> Result<bool> {
        let temporary = format!(".{name}.{}", std::process::id());
        self.remove_file(&temporary)?;
        let mut file = self.create_file(&temporary)?;
        let written = file.write_all(content).and_then(|()| file.sync_all());
        drop(file);
        let outcome = written
            .map_err(|error| self.failed("write", name, error))
            .and_then(|()| self.rename_new(&temporary, name));
        if !matches!(outcome, Ok(true)) {
            self.remove_file(&temporary)?;
        }
        outcome
    }

    /// Renames a file unless the new name exists. Returns whether it did.
    pub(crate) fn rename_new(&self, from: &str, to: &str) -> Result<bool> {
        let target = self.path.join(to);
        if target.symlink_metadata().is_ok() {
            return Ok(false);
        }
        let renamed = std::fs::rename(self.path.join(from), target);
        renamed.map(|()| true).map_err(|error| self.failed("rename to", to, error))
    }

    /// Gives a file the name of another, which it replaces.
    pub(crate) fn replace_file(&self, from: &str, to: &str) -> Result<()> {
        let renamed = std::fs::rename(self.path.join(from), self.path.join(to));
        renamed.map_err(|error| self.failed("replace", to, error))
    }

    /// Removes a file; it is no error if it is absent.
    pub(crate) fn remove_file(&self, name: &str) -> Result<()> {
        match std::fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(self.failed("remove", name, error))
            }
            _ => Ok(()),
        }
    }

    fn failed(&self, verb: &str, name: &str, error: std::io::Error) -> Error {
        let path = self.path.join(name);
        Error::internal(format!("could not {verb} {}", path.display()))
            .with_source(error)
            .with_hint("make room on the disk and the directory writable for you")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_appear_whole_and_are_never_replaced() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = private_dir(&temporary.path().join("a/b")).unwrap();
        assert!(dir.write_new("f", b"one").unwrap());
        assert!(!dir.write_new("f", b"two").unwrap());
        assert_eq!(&**dir.read("f").unwrap().unwrap(), b"one");
        assert!(dir.read("none").unwrap().is_none());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
        std::fs::create_dir(dir.path().join("d")).unwrap();
        assert!(dir.open_file("d").unwrap_err().hint().is_some());
        std::fs::write(temporary.path().join("file"), "").unwrap();
        assert!(private_dir(&temporary.path().join("file")).is_err());
    }
}
