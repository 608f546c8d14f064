//! Debian's packages of other suites and machines, unpacked into a directory.
//!
//! apt runs with settings of its own; the machine's packages and settings stay as they are.

use super::is_installed;
use crate::process;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// A private apt: lists of packages, and downloads.
#[derive(Debug)]
pub(crate) struct Debian {
    /// Lists and downloads.
    work: PathBuf,
    /// Debian's name of the architecture, such as `arm64`; None is the one of this machine.
    machine: Option<&'static str>,
}

impl Debian {
    /// Fetches the lists of these suites from the mirror of this machine. None if it has no apt.
    pub(crate) async fn prepare(
        work: PathBuf,
        suites: &str,
        machine: Option<&'static str>,
    ) -> Result<Option<Self>> {
        let Some(mirror) = mirror() else { return Ok(None) };
        if !(is_installed("apt-get").await && is_installed("dpkg-deb").await) {
            return Ok(None);
        }
        for directory in ["lists/partial", "cache/archives/partial", "sources", "download"] {
            std::fs::create_dir_all(work.join(directory))?;
        }
        let sources = format!(
            "Types: deb deb-src\nURIs: {mirror}\nSuites: {suites}\nComponents: main\n\
             Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
        );
        std::fs::write(work.join("sources/debian.sources"), sources)?;
        // No package counts as installed, so all dependencies are fetched.
        std::fs::write(work.join("status"), "")?;
        let debian = Self { work, machine };
        process::capture(debian.apt("apt-get").arg("update"))
            .await
            .context("could not fetch Debian's lists of packages")?;
        Ok(Some(debian))
    }

    /// The available versions of a package.
    pub(crate) async fn versions(&self, package: &str) -> Result<Vec<String>> {
        let listed = process::capture(self.apt("apt-cache").args(["madison", package])).await?;
        let versions = listed.lines().filter_map(|line| line.split('|').nth(1));
        Ok(versions.map(|version| version.trim().to_owned()).collect())
    }

    /// Unpacks one package, `NAME=VERSION`, without its dependencies.
    pub(crate) async fn unpack_alone(&self, package: &str, out: &Path) -> Result<()> {
        let downloads = self.emptied("download")?;
        let mut apt = self.apt("apt-get");
        process::capture(apt.current_dir(&downloads).args(["download", package])).await?;
        unpack_all(&downloads, out).await
    }

    /// Unpacks packages and their dependencies.
    pub(crate) async fn unpack(&self, packages: &[&str], out: &Path) -> Result<()> {
        let downloads = self.emptied("cache/archives")?;
        std::fs::create_dir_all(downloads.join("partial"))?;
        let mut apt = self.apt("apt-get");
        apt.args(["install", "--yes", "--download-only", "--no-install-recommends"]);
        process::capture(apt.args(packages))
            .await
            .with_context(|| format!("could not fetch {}", packages.join(", ")))?;
        unpack_all(&downloads, out).await?;
        // Newer packages expect these links.
        #[cfg(unix)]
        for name in ["bin", "lib", "lib64", "sbin"] {
            let (link, directory) = (out.join(name), Path::new("usr").join(name));
            if !link.exists() {
                std::os::unix::fs::symlink(directory, link)?;
            }
        }
        Ok(())
    }

    /// Fetches the source of a package and returns the original archive.
    pub(crate) async fn source(&self, package: &str) -> Result<PathBuf> {
        let downloads = self.emptied("download")?;
        let mut apt = self.apt("apt-get");
        apt.current_dir(&downloads).args(["source", "--download-only", "--only-source", package]);
        process::capture(&mut apt)
            .await
            .with_context(|| format!("could not fetch the source of {package}"))?;
        let mut files = std::fs::read_dir(downloads)?.filter_map(Result::ok);
        let is_original = |path: &PathBuf| path.to_string_lossy().contains(".orig.tar.");
        files
            .find_map(|file| Some(file.path()).filter(is_original))
            .context("the source has no original archive")
    }

    fn emptied(&self, directory: &str) -> Result<PathBuf> {
        let directory = self.work.join(directory);
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory)?;
        Ok(directory)
    }

    fn apt(&self, program: &str) -> Command {
        let mut apt = process::command(program);
        apt.args(["--quiet", "-o", "Dir::Etc::sourcelist=/dev/null", "-o", "Debug::NoLocking=1"]);
        for (setting, place) in [
            ("Dir::Etc::sourceparts", "sources"),
            ("Dir::State::lists", "lists"),
            ("Dir::State::status", "status"),
            ("Dir::Cache", "cache"),
        ] {
            apt.args(["-o", &format!("{setting}={}", self.work.join(place).display())]);
        }
        if let Some(machine) = self.machine {
            apt.args(["-o", &format!("APT::Architecture={machine}")]);
            apt.args(["-o", &format!("APT::Architectures::={machine}")]);
        }
        apt.stderr(Stdio::null());
        apt
    }
}

async fn unpack_all(archives: &Path, out: &Path) -> Result<()> {
    for archive in std::fs::read_dir(archives)? {
        let archive = archive?.path();
        if archive.extension().is_some_and(|ending| ending == "deb") {
            let mut unpack = process::command("dpkg-deb");
            process::run(unpack.arg("-x").arg(archive).arg(out)).await?;
        }
    }
    Ok(())
}

/// The Debian mirror this machine uses.
fn mirror() -> Option<String> {
    let deb822 = std::fs::read_to_string("/etc/apt/sources.list.d/debian.sources");
    let classic = std::fs::read_to_string("/etc/apt/sources.list");
    mirror_in(&deb822.unwrap_or_default(), &classic.unwrap_or_default())
}

fn mirror_in(deb822: &str, classic: &str) -> Option<String> {
    let uris = deb822.lines().find_map(|line| line.strip_prefix("URIs:"));
    let words = uris.map(|uris| uris.split_whitespace().next());
    let classic = classic.lines().filter_map(|line| line.strip_prefix("deb "));
    let classic = classic.filter_map(|line| line.split(' ').find(|word| word.contains("://")));
    words.flatten().or_else(|| classic.into_iter().next()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_the_first_that_apt_uses() {
        let deb822 = "Types: deb\nURIs: http://a.example/debian http://b\nSuites: x\n";
        let classic = "# no\ndeb [arch=amd64] https://c.example/debian stable main\n";
        assert_eq!(mirror_in(deb822, classic).as_deref(), Some("http://a.example/debian"));
        assert_eq!(mirror_in("", classic).as_deref(), Some("https://c.example/debian"));
        assert_eq!(mirror_in("", ""), None);
    }
}
