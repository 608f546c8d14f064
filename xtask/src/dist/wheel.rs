//! The wheels: their contents and their names.

use super::target::Target;
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};

/// The file with the licences of what is linked in, beside the project's licences in a wheel.
pub(super) const THIRD_PARTY: &str = "THIRD-PARTY";

/// The licence texts that a wheel must contain.
const LICENCES: [&str; 3] = ["LICENSE-APACHE", "LICENSE-MIT", THIRD_PARTY];

/// A wheel for one target.
pub(super) struct Wheel {
    /// The first part of the wheel's name.
    pub(super) name: &'static str,
    pub(super) directory: &'static str,
    /// Interpreter and ABI (PEP 425).
    interpreter: &'static str,
    /// The oldest systems it runs on (PEP 600, PEP 656).
    pub(super) systems: Vec<&'static str>,
    /// Flags of rustc.
    pub(super) flags: &'static [&'static str],
}

impl Wheel {
    /// The Python package.
    pub(super) fn module(target: &Target) -> Self {
        Self::of_module(vec![target.tag], target.wheel)
    }

    /// The Python package for 64-bit Windows.
    pub(super) fn module_for_windows() -> Self {
        Self::of_module(vec!["win_amd64"], &[])
    }

    fn of_module(systems: Vec<&'static str>, flags: &'static [&'static str]) -> Self {
        let (name, directory, interpreter) = ("keybearer", "crates/python", "cp39-abi3");
        Self { name, directory, interpreter, systems, flags }
    }

    /// The wheel of the program, if this target builds one. It runs with every C library.
    pub(super) fn program(target: &Target) -> Option<Self> {
        let flags = target.program?;
        let same_machine = Target::ALL.iter().filter(|other| other.machine == target.machine);
        let systems = same_machine.map(|target| target.tag).collect();
        let (name, directory, interpreter) = ("keybearer_cli", "crates/cli", "py3-none");
        Some(Self { name, directory, interpreter, systems, flags })
    }

    /// The required file name: installers read the tags in it and nothing else.
    pub(super) fn file_name(&self) -> String {
        let platforms = self.systems.iter().flat_map(|system| {
            // The name that installers older than PEP 600 know.
            let older = system.strip_prefix("manylinux_2_17_");
            let older = older.map(|machine| format!("manylinux2014_{machine}"));
            older.into_iter().chain([(*system).to_owned()])
        });
        let platforms = platforms.collect::<Vec<_>>().join(".");
        let version = env!("CARGO_PKG_VERSION");
        format!("{}-{version}-{}-{platforms}.whl", self.name, self.interpreter)
    }

    /// Whether it contains the program, which is linked statically.
    pub(super) fn is_static(&self) -> bool {
        self.interpreter == "py3-none"
    }

    /// The licences that are missing in the wheel; `files` has the name of one file a line.
    pub(super) fn missing_licences(&self, files: &str) -> Vec<&'static str> {
        let place = format!("{}-{}.dist-info/licenses/", self.name, env!("CARGO_PKG_VERSION"));
        let is_missing = |licence: &&str| {
            !files
                .lines()
                .any(|file| file.strip_prefix(&place).is_some_and(|name| name == *licence))
        };
        LICENCES.into_iter().filter(is_missing).collect()
    }

    /// The path of the wheel in the folder that it was built into.
    pub(super) fn find_in(&self, folder: &Path) -> Result<PathBuf> {
        let wheel = folder.join(self.file_name());
        if !wheel.is_file() {
            let files = std::fs::read_dir(folder)
                .with_context(|| format!("could not list {}", folder.display()))?;
            let names = files.filter_map(Result::ok).map(|file| file.file_name());
            let names = names.map(|name| name.to_string_lossy().into_owned()).collect::<Vec<_>>();
            bail!("{} is missing in {}: {}", self.file_name(), folder.display(), names.join(", "));
        }
        Ok(wheel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_for_every_cpython_from_3_9_and_one_c_library() {
        let name = |triple| Wheel::module(Target::named(triple).unwrap()).file_name();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            name("x86_64-unknown-linux-gnu"),
            format!("keybearer-{version}-cp39-abi3-manylinux2014_x86_64.manylinux_2_17_x86_64.whl")
        );
        assert_eq!(
            name("aarch64-unknown-linux-musl"),
            format!("keybearer-{version}-cp39-abi3-musllinux_1_2_aarch64.whl")
        );
    }

    #[test]
    fn a_program_is_for_every_python_and_every_c_library_of_its_machine() {
        let program = |triple| Wheel::program(Target::named(triple).unwrap());
        let version = env!("CARGO_PKG_VERSION");
        assert!(program("aarch64-unknown-linux-gnu").is_none());
        assert_eq!(
            program("aarch64-unknown-linux-musl").unwrap().file_name(),
            format!(
                "keybearer_cli-{version}-py3-none-\
                 manylinux2014_aarch64.manylinux_2_17_aarch64.musllinux_1_2_aarch64.whl"
            )
        );
    }

    #[test]
    fn a_wheel_with_another_tag_is_not_taken_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = Wheel::module_for_windows();
        let other = wheel.file_name().replace("cp39-abi3", "cp311-cp311");
        std::fs::write(folder.path().join(&other), "").unwrap();
        let error = wheel.find_in(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with(&other), "{error}");
        std::fs::write(folder.path().join(wheel.file_name()), "").unwrap();
        assert_eq!(wheel.find_in(folder.path()).unwrap(), folder.path().join(wheel.file_name()));
    }

    #[test]
    fn a_wheel_has_its_licences_where_installers_look_for_them() {
        let wheel = Wheel::module_for_windows();
        let place = format!("keybearer-{}.dist-info/licenses", env!("CARGO_PKG_VERSION"));
        let files = format!(
            "keybearer/__init__.py\n{place}/LICENSE-MIT\n{place}/LICENSE-APACHE\n{place}/THIRD-PARTY\n"
        );
        assert!(wheel.missing_licences(&files).is_empty());
        let elsewhere = files.replace(&format!("{place}/THIRD-PARTY"), "keybearer/THIRD-PARTY");
        assert_eq!(wheel.missing_licences(&elsewhere), ["THIRD-PARTY"]);
        assert_eq!(wheel.missing_licences(""), LICENCES);
    }
}
