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
        .or_hint("get the target's standard library", "see above")?;
    let prefix = Wine::prepare(repository, "dist").await?;
    wheel(builder, &cross, &prefix).await?;
    program(builder, &cross, &prefix).await
}

/// Builds the wheel, and checks it as far as a Python for Windows in Wine can.
async fn wheel(builder: &WheelBuilder<'_>, cross: &Cross, prefix: &Wine) -> Result<()> {
    let repository = builder.repository;
    let python = WindowsPython::prepare(repository).await?;
    let folder = builder.output.join(wine::TARGET);
    drop(std::fs::remove_dir_all(&folder));
    let wheel = Wheel::module_for_windows();
    let _notices = builder.notices(&wheel, wine::TARGET, Vec::new()).await?;
    let mut maturin = python.maturin(repository, cross, prefix, &folder);
    maturin.arg("--release").env("CARGO_TARGET_DIR", repository.path("target/cross"));
    process::run(&mut maturin).await.or_hint("build the wheel", "mend what is named above")?;
    builder.check(&wheel, &folder).await.or_hint("check the wheel", "see above")?;
    python.install(repository, &wheel.find_in(&folder)?).await?;
    let dlls = dlls_of_windows(&python.packages().join("keybearer/_native.pyd")).await?;
    if !dlls.iter().any(|dll| dll == "python3.dll") {
        bail!("the module does not ask for python3.dll, the one for all versions");
    }
    let mut import = python.command(prefix);
    import.args(["-c", "import keybearer, keybearer.aio; print('imports', keybearer.__version__)"]);
    let said = process::tee(&mut import).await?;
    if !said.success {
        bail!("a Python for Windows does not import the wheel");
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
        .or_hint("build the program", "mend what is named above")?;
    let program = builder.output.join(wine::TARGET).join("keybearer.exe");
    std::fs::copy(target.join(wine::TARGET).join("release/keybearer.exe"), &program)?;
    println!("keybearer.exe  {:.1} MB", std::fs::metadata(&program)?.len() as f64 / 1e6);
    dlls_of_windows(&program).await?;
    Ok(())
}

/// The DLLs a file asks for, if none is one of mingw-w64's, which other machines do not have.
async fn dlls_of_windows(file: &Path) -> Result<Vec<String>> {
    let dlls = wine::imports(file).await?;
    if let Some(dll) = dlls.iter().find(|dll| dll.starts_with("lib")) {
        bail!("{} asks for {dll}, which Windows has not", file.display());
    }
    Ok(dlls)
}
