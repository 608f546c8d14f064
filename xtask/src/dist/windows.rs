//! The wheel and the program for Windows, linked by mingw-w64.

use super::WheelBuilder;
use super::wheel::Wheel;
use crate::failure::OrHint as _;
use crate::process;
use crate::tools::{Cross, WindowsPython, Wine, wine};
use anyhow::{Result, bail};
use std::path::Path;

pub(super) async fn build(builder: &WheelBuilder<'_>) -> Result<()> {
    println!("== {}", wine::TARGET);
    let repository = builder.repository;
    wine::install().await?;
    let cross = Cross::prepare(repository, wine::TARGET)
        .await
        .or_hint("prepare the standard library of the target", "see the output above")?;
    let prefix = Wine::prepare(repository, "dist").await?;
    wheel(builder, &cross, &prefix).await?;
    program(builder, &cross, &prefix).await
}

/// Builds the wheel and checks it with a Python for Windows in Wine.
async fn wheel(builder: &WheelBuilder<'_>, cross: &Cross, prefix: &Wine) -> Result<()> {
    let repository = builder.repository;
    let python = WindowsPython::prepare(repository).await?;
    let folder = builder.output.join(wine::TARGET);
    drop(std::fs::remove_dir_all(&folder));
    let wheel = Wheel::module_for_windows();
    let _notices = builder.notices(&wheel, wine::TARGET, Vec::new()).await?;
    let mut maturin = python.maturin(repository, cross, prefix, &folder);
    maturin.arg("--release").env("CARGO_TARGET_DIR", repository.path("target/cross"));
    process::run(&mut maturin).await.or_hint("build the wheel", "fix what is reported above")?;
    builder.check(&wheel, &folder).await.or_hint("check the wheel", "see the output above")?;
    python.install(repository, &wheel.find_in(&folder)?).await?;
    let dlls = dlls_of_windows(&python.packages().join("keybearer/_native.pyd")).await?;
    if !dlls.iter().any(|dll| dll == "python3.dll") {
        bail!("the module does not import python3.dll, the DLL for all versions of Python");
    }
    let mut import = python.command(prefix);
    import.args(["-c", "import keybearer, keybearer.aio; print('imports', keybearer.__version__)"]);
    let output = process::tee(&mut import).await?;
    if !output.success {
        bail!("a Python for Windows could not import the wheel");
    }
    Ok(())
}

async fn program(builder: &WheelBuilder<'_>, cross: &Cross, prefix: &Wine) -> Result<()> {
    let repository = builder.repository;
    let target = repository.path("target/cross");
    let mut cargo = cross.cargo(repository, &["build", "--quiet", "--release", "--locked"]);
    cargo.args(["-p", "keybearer-cli"]).env("CARGO_TARGET_DIR", &target);
    process::run(prefix.apply(&mut cargo))
        .await
        .or_hint("build the program", "fix what is reported above")?;
    let program = builder.output.join(wine::TARGET).join("keybearer.exe");
    std::fs::copy(target.join(wine::TARGET).join("release/keybearer.exe"), &program)?;
    println!("keybearer.exe  {:.1} MB", std::fs::metadata(&program)?.len() as f64 / 1e6);
    dlls_of_windows(&program).await?;
    Ok(())
}

/// The DLLs that a file imports. DLLs of mingw-w64 are an error, because other machines do not have
/// them.
async fn dlls_of_windows(file: &Path) -> Result<Vec<String>> {
    let dlls = wine::imports(file).await?;
    if let Some(dll) = dlls.iter().find(|dll| dll.starts_with("lib")) {
        bail!("{} imports {dll}, which Windows does not have", file.display());
    }
    Ok(dlls)
}
