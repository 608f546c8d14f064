//! A CPython for Windows that runs in Wine.

use super::{Cross, Python, Repository, Wine, prepared_once, wine};
use crate::process;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// Extracts the interpreter from the archive `argv[1]`, whose installer runs on Windows only, and
/// enables its site-packages.
const UNPACK: &str = r#"
import io, os, pathlib, sys, tarfile, zipfile
archive, home = sys.argv[1:]
with tarfile.open(archive) as source:
    [name] = [name for name in source.getnames() if name.endswith("/data.zip")]
    data = zipfile.ZipFile(io.BytesIO(source.extractfile(name).read()))
data.extractall(home)
for path in pathlib.Path(home, "cp311").iterdir():
    os.replace(path, pathlib.Path(home, path.name))
pathlib.Path(home, "python311._pth").write_text("python311.zip\n.\nimport site\n")
"#;

/// Options that make pip install for that interpreter.
const WINDOWS: [&str; 11] = [
    "--no-deps",
    "--only-binary=:all:",
    "--platform=win_amd64",
    "--implementation=cp",
    "--python-version=3.11",
    "--abi=cp311",
    "--abi=abi3",
    "--abi=none",
    "--upgrade",
    "--quiet",
    "--disable-pip-version-check",
];

/// The interpreter and the packages of `xtask/wine/packages.in`.
#[derive(Debug)]
pub(crate) struct WindowsPython {
    tools: Python,
    home: PathBuf,
}

impl WindowsPython {
    pub(crate) async fn prepare(repository: &Repository) -> Result<Self> {
        let pins = repository.path("xtask/wine");
        let tools = Python::prepare(repository, "windows-tools", &pins.join("tools.txt")).await?;
        let python = Self { tools, home: repository.tool_path("windows-python") };
        let (interpreter, packages) = (pins.join("interpreter.txt"), pins.join("packages.txt"));
        let mut recipe = std::fs::read_to_string(&interpreter)?;
        recipe.push_str(&std::fs::read_to_string(&packages)?);
        prepared_once(&python.home.join("stamp"), &recipe, async || {
            println!("fetching a Python for Windows and its packages");
            let _ = std::fs::remove_dir_all(&python.home);
            python.fetch(&interpreter).await?;
            let mut pip = python.pip(&["install", "--require-hashes"]);
            pip.args(WINDOWS).arg("--target").arg(python.packages()).arg("-r").arg(&packages);
            process::run(&mut pip).await.context("could not fetch the packages for Windows")
        })
        .await?;
        Ok(python)
    }

    async fn fetch(&self, interpreter: &Path) -> Result<()> {
        let download = tempfile::tempdir()?;
        // pip runs the setup of the archive to find its name; the hash pins what it runs.
        let mut pip = self.pip(&["download", "--quiet", "--disable-pip-version-check"]);
        pip.args(["--no-deps", "--no-build-isolation", "--require-hashes", "--dest"]);
        process::run(pip.arg(download.path()).arg("-r").arg(interpreter))
            .await
            .context("could not fetch the Python for Windows")?;
        let archive =
            std::fs::read_dir(download.path())?.next().context("pip fetched nothing")??;
        let mut unpack = self.tools.command(&["-c", UNPACK]);
        process::run(unpack.arg(archive.path()).arg(&self.home)).await
    }

    /// The command that builds the wheel for Windows into a directory.
    pub(crate) fn maturin(
        &self,
        repository: &Repository,
        cross: &Cross,
        prefix: &Wine,
        out: &Path,
    ) -> Command {
        let mut maturin = self.tools.command(&["-m", "maturin", "build", "--quiet", "--locked"]);
        maturin.args(["--target", wine::TARGET, "--out"]).arg(out);
        maturin.current_dir(repository.path("crates/python"));
        if let Some(flag) = cross.flag() {
            maturin.env(cross.flags_variable(), flag);
        }
        prefix.apply(&mut maturin);
        maturin
    }

    /// Installs a wheel as pip would on Windows.
    pub(crate) async fn install(&self, repository: &Repository, wheel: &Path) -> Result<()> {
        let mut pip = self.pip(&["install"]);
        pip.args(WINDOWS).arg("--target").arg(self.packages()).arg(wheel);
        process::run(&mut pip).await.context("could not install the wheel for Windows")?;
        wine::build_shim(repository, &self.home).await
    }

    /// The interpreter in Wine. Both outputs are merged, because it does not start when one of them is a
    /// file that it may not read.
    pub(crate) fn command(&self, prefix: &Wine) -> Command {
        let mut command = process::command("sh");
        command.args(["-c", "exec wine \"$@\" 2>&1", "sh"]);
        command.arg(self.home.join("python.exe")).env("PYTHONDONTWRITEBYTECODE", "1");
        prefix.apply(&mut command);
        command
    }

    fn pip(&self, arguments: &[&str]) -> Command {
        let mut pip = self.tools.command(&["-m", "pip"]);
        pip.args(arguments);
        pip
    }

    /// The directory of installed packages.
    pub(crate) fn packages(&self) -> PathBuf {
        self.home.join("Lib/site-packages")
    }
}
