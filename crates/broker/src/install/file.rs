use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use keybearer_core::{Error, Result};

use super::Removal;

/// Stands first in every file that we write; what does not begin with it is not ours.
const MARK: &str =
    "# Written by `keybearer broker install`; `keybearer broker uninstall` removes it.\n";
/// The directories made for the file, from the outermost, so that they can go with it.
const MADE: &str = "# Directories made for it:";

/// A file of ours in a directory of the user's.
#[derive(Debug)]
pub(super) struct OwnFile(PathBuf);

/// What became of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(clippy::exhaustive_enums, reason = "told in words, each")]
pub enum Written {
    /// It is new, or has changed.
    New(PathBuf),
    /// It was there, with this content.
    Unchanged(PathBuf),
}

impl OwnFile {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn name(&self) -> &OsStr {
        self.0.file_name().unwrap_or_default()
    }

    /// The path, if something is there that we did not write.
    pub(super) fn stranger(&self) -> Result<Option<PathBuf>> {
        let there = self.0.symlink_metadata().is_ok();
        Ok((there && self.own_content()?.is_none()).then(|| self.0.clone()))
    }

    /// Writes it, whole or not at all, and durable on return.
    pub(super) fn write(&self, content: &str) -> Result<Written> {
        let before = self.own_content()?;
        let made = match &before {
            Some(before) => made_for(before),
            None => self.make_directories()?,
        };
        let made: Vec<_> = made.iter().map(|path| format!(" {}", path.display())).collect();
        let text = format!("{MARK}{MADE}{}\n{content}", made.concat());
        if before.as_ref() == Some(&text) {
            return Ok(Written::Unchanged(self.0.clone()));
        }
        if let Some(stranger) = self.stranger()? {
            let aside = self.aside();
            std::fs::rename(stranger, &aside).map_err(|error| failed("make", &aside, error))?;
        }
        let temporary = self.beside(&format!(".{}", std::process::id()));
        let written = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .open(&temporary)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                // Whatever the umask: others on the machine may read it, and nobody else write it.
                file.set_permissions(PermissionsExt::from_mode(0o644))?;
                file.sync_all()
            })
            .and_then(|()| std::fs::rename(&temporary, &self.0));
        if written.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        written.map_err(|error| failed("write", &self.0, error))?;
        Ok(Written::New(self.0.clone()))
    }

    /// Removes it and the directories made for it, and brings back what it took the place of.
    pub(super) fn remove(&self) -> Result<Vec<Removal>> {
        let Some(content) = self.own_content()? else {
            return Ok(self.stranger()?.into_iter().map(Removal::Left).collect());
        };
        std::fs::remove_file(&self.0).map_err(|error| failed("remove", &self.0, error))?;
        let mut removed = vec![Removal::Removed(self.0.clone())];
        let aside = self.aside();
        if aside.symlink_metadata().is_ok() {
            std::fs::rename(&aside, &self.0).map_err(|error| failed("restore", &self.0, error))?;
            removed.push(Removal::Restored(self.0.clone()));
        }
        for directory in made_for(&content).iter().rev() {
            // It stays if somebody else has put something there meanwhile.
            let _ = std::fs::remove_dir(directory);
        }
        Ok(removed)
    }

    /// What it says, if it is ours.
    pub(super) fn own_content(&self) -> Result<Option<String>> {
        match std::fs::read(&self.0) {
            Ok(content) => {
                let text = String::from_utf8(content).ok();
                let is_link = self.0.symlink_metadata().is_ok_and(|file| file.is_symlink());
                Ok(text.filter(|text| text.starts_with(MARK) && !is_link))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &self.0, error)),
        }
    }

    /// Makes what is missing of the path to it; these are returned, from the outermost.
    fn make_directories(&self) -> Result<Vec<PathBuf>> {
        let missing = self.0.ancestors().skip(1).take_while(|path| !path.exists());
        let mut missing: Vec<PathBuf> = missing.map(Path::to_owned).collect();
        missing.reverse();
        for path in &missing {
            // As the XDG Base Directory Specification wants it.
            let made = DirBuilder::new().mode(0o700).create(path);
            made.map_err(|error| failed("make", path, error))?;
        }
        Ok(missing)
    }

    /// Where another program's file waits. No bus and no systemd reads a file of that name.
    fn aside(&self) -> PathBuf {
        self.beside(".before-keybearer")
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = OsString::from(self.name());
        name.push(suffix);
        self.0.with_file_name(name)
    }
}

fn made_for(content: &str) -> Vec<PathBuf> {
    let line = content.lines().find_map(|line| line.strip_prefix(MADE)).unwrap_or_default();
    // Absolute paths, so each begins at " /", whatever spaces are in it.
    line.split(" /").skip(1).map(|path| Path::new("/").join(path)).collect()
}

pub(super) fn failed(verb: &str, path: &Path, error: std::io::Error) -> Error {
    Error::internal(format!("{verb} {}", path.display()))
        .with_source(error)
        .with_hint("make the directory writable for you")
}
