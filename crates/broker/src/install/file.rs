use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use keybearer_core::{Error, Result};

use super::Removal;

/// The first line of every file that we write; other files are not ours.
const MARK: &str =
    "# Written by `keybearer broker install`; `keybearer broker uninstall` removes it.\n";
/// The line with the directories that were made for the file, outermost first; they are removed with
/// it.
const MADE: &str = "# Directories made for it:";

/// A file of ours in one of the user's directories.
#[derive(Debug)]
pub(super) struct OwnFile(PathBuf);

/// What happened to a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Written {
    /// It is new, or has changed.
    New(PathBuf),
    /// It already had this content.
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

    /// The path, if a file is there that we did not write.
    pub(super) fn foreign(&self) -> Result<Option<PathBuf>> {
        let there = self.0.symlink_metadata().is_ok();
        Ok((there && self.own_content()?.is_none()).then(|| self.0.clone()))
    }

    /// Writes the file atomically, durable on return.
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
        if let Some(foreign) = self.foreign()? {
            let backup = self.backup();
            std::fs::rename(foreign, &backup).map_err(|error| failed("make", &backup, error))?;
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
                // Regardless of the umask: other users may read it, but not write it.
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

    /// Removes the file and the directories made for it, and restores the file that it replaced.
    pub(super) fn remove(&self) -> Result<Vec<Removal>> {
        let Some(content) = self.own_content()? else {
            return Ok(self.foreign()?.into_iter().map(Removal::Left).collect());
        };
        std::fs::remove_file(&self.0).map_err(|error| failed("remove", &self.0, error))?;
        let mut removed = vec![Removal::Removed(self.0.clone())];
        let backup = self.backup();
        if backup.symlink_metadata().is_ok() {
            std::fs::rename(&backup, &self.0).map_err(|error| failed("restore", &self.0, error))?;
            removed.push(Removal::Restored(self.0.clone()));
        }
        for directory in made_for(&content).iter().rev() {
            // This fails if another program has put a file there meanwhile.
            let _ = std::fs::remove_dir(directory);
        }
        Ok(removed)
    }

    /// The content, if the file is ours.
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

    /// Makes the missing directories of its path, and returns them, outermost first.
    fn make_directories(&self) -> Result<Vec<PathBuf>> {
        let missing = self.0.ancestors().skip(1).take_while(|path| !path.exists());
        let mut missing: Vec<PathBuf> = missing.map(Path::to_owned).collect();
        missing.reverse();
        for path in &missing {
            // The mode that the XDG Base Directory Specification requires.
            let made = DirBuilder::new().mode(0o700).create(path);
            made.map_err(|error| failed("make", path, error))?;
        }
        Ok(missing)
    }

    /// Where another program's file is kept. Neither the bus nor systemd reads files of this name.
    fn backup(&self) -> PathBuf {
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
    // The paths are absolute, so " /" starts each, even if they contain spaces.
    line.split(" /").skip(1).map(|path| Path::new("/").join(path)).collect()
}

pub(super) fn failed(verb: &str, path: &Path, error: std::io::Error) -> Error {
    Error::internal(format!("could not {verb} {}", path.display()))
        .with_source(error)
        .with_hint("make the directory writable for you")
}
