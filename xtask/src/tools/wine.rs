//! Wine, in private prefixes.

use super::{Repository, install_debian, is_installed};
use crate::process;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

pub(crate) const TARGET: &str = "x86_64-pc-windows-gnu";
const LINKER: &str = "x86_64-w64-mingw32-gcc";

/// Rust's standard library reads random bytes from a DLL that Wine before 10 does not have.
const RANDOM_SHIM: &str = "#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T length)
{
    return SystemFunction036(bytes, (ULONG)length);
}
";

/// A separate Wine prefix.
#[derive(Debug)]
pub(crate) struct Wine {
    prefix: PathBuf,
}

/// The DLLs that a program for Windows imports.
pub(crate) async fn imports(program: &Path) -> Result<Vec<String>> {
    let mut objdump = process::command("x86_64-w64-mingw32-objdump");
    let output = process::capture(objdump.arg("-p").arg(program)).await?;
    let names = output.lines().filter_map(|line| line.trim().strip_prefix("DLL Name: "));
    Ok(names.map(str::to_lowercase).collect())
}

/// Installs Wine and the linker if they are missing.
pub(crate) async fn install() -> Result<()> {
    if !(is_installed("wine").await && is_installed(LINKER).await) {
        let advice = "Wine or the linker of mingw-w64 is missing; install them (on Debian and \
                      Ubuntu: apt-get install wine wine64 gcc-mingw-w64-x86-64)";
        install_debian("gcc-mingw-w64-x86-64 wine wine64", advice).await?;
    }
    Ok(())
}

/// Puts the DLL that Wine lacks into the directories of programs and of tests.
pub(crate) async fn place_shim(repository: &Repository, programs: &Path) -> Result<()> {
    for directory in [programs.to_owned(), programs.join("deps")] {
        build_shim(repository, &directory).await?;
    }
    Ok(())
}

/// Puts the DLL that Wine lacks into the directory of a program.
pub(crate) async fn build_shim(repository: &Repository, directory: &Path) -> Result<()> {
    let source = repository.tool_path("wine/random.c");
    std::fs::create_dir_all(directory)?;
    std::fs::create_dir_all(source.parent().context("the source has no directory")?)?;
    std::fs::write(&source, RANDOM_SHIM)?;
    let mut compiler = process::command(LINKER);
    compiler.args(["-shared", "-o"]).arg(directory.join("bcryptprimitives.dll"));
    process::run(compiler.arg(&source).arg("-ladvapi32")).await
}

impl Wine {
    /// Creates a prefix, replacing an older one of the same name.
    pub(crate) async fn prepare(repository: &Repository, name: &str) -> Result<Self> {
        let wine = Self { prefix: repository.tool_path(&format!("wine/{name}")) };
        let _ = std::fs::remove_dir_all(&wine.prefix);
        std::fs::create_dir_all(&wine.prefix)?;
        let mut boot = process::command("wineboot");
        wine.apply(boot.arg("-i").stdout(Stdio::null()).stderr(Stdio::null()));
        process::run(&mut boot).await.context("could not create a Wine prefix")?;
        Ok(wine)
    }

    /// Makes a command, and the Wine it starts, use this prefix.
    pub(crate) fn apply<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("WINEPREFIX", &self.prefix).env("WINEARCH", "win64").env("WINEDEBUG", "-all");
        command.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER", "wine");
        // The crate contains the assembled files.
        command.env("AWS_LC_SYS_PREBUILT_NASM", "1");
        command.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER", LINKER)
    }

    /// Registers a class, so that the runtime activates it from a DLL.
    pub(crate) async fn register(&self, class: &str, dll: &Path) -> Result<()> {
        const CLASSES: &str = r"HKLM\Software\Microsoft\WindowsRuntime\ActivatableClassId";
        let mut reg = process::command("wine");
        reg.args(["reg", "add", &format!(r"{CLASSES}\{class}"), "/v", "DllPath", "/t", "REG_SZ"]);
        reg.args(["/f", "/d", &windows_path(dll)]);
        self.apply(reg.stdout(Stdio::null()).stderr(Stdio::null()));
        process::run(&mut reg).await
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        // Ends the services of the prefix, which would run for a while.
        let mut server = std::process::Command::new("wineserver");
        let _ = server.arg("-k").env("WINEPREFIX", &self.prefix).status();
    }
}

/// The path of a file in Wine.
pub(crate) fn windows_path(path: &Path) -> String {
    format!("Z:{}", path.display().to_string().replace('/', r"\"))
}
