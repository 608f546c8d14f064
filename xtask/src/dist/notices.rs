//! `THIRD-PARTY`: the licences of what is linked into a wheel, each text once.

use super::WheelBuilder;
use super::wheel::{THIRD_PARTY, Wheel};
use crate::process;
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The file beside the `pyproject.toml` of a wheel, where maturin looks for it. It exists during one
/// build only, because it is true of one target.
pub(super) struct Notices(PathBuf);

impl Notices {
    /// Lists the licences of what cargo links into the wheel, and `more`, which the linker adds.
    pub(super) async fn write(
        builder: &WheelBuilder<'_>,
        wheel: &Wheel,
        triple: &str,
        more: Vec<Licence>,
    ) -> Result<Self> {
        let directory = builder.repository.path(wheel.directory);
        let mut licences = more;
        licences.extend(of_crates(builder, &directory, triple).await?);
        let text = format!(
            "What is linked into {} for {triple}, and the licences of it.\n\n{STANDARD_LIBRARY}{}",
            wheel.name,
            listed(licences)?
        );
        let notices = Self(directory.join(THIRD_PARTY));
        std::fs::write(&notices.0, text)?;
        Ok(notices)
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        // If it stays, the next build overwrites it.
        drop(std::fs::remove_file(&self.0));
    }
}

/// The standard library comes with the compiler, so cargo-about does not list it.
const STANDARD_LIBRARY: &str = "\
Rust's standard library, copyright The Rust Project Developers, and the crates within it are
licensed under Apache-2.0 among others; its text is in LICENSE-APACHE beside this file.
";

/// The licences of what zig links in: its run-time library, and musl if the program is static.
pub(super) async fn of_zig(builder: &WheelBuilder<'_>, wheel: &Wheel) -> Result<Vec<Licence>> {
    let zig = builder.zig().await?;
    let home = zig.parent().context("zig has no directory")?;
    let mut files = vec![("zig's run-time library", "LICENSE")];
    if wheel.is_static() {
        files.push(("musl", "lib/libc/musl/COPYRIGHT"));
    }
    let mut licences = Vec::new();
    for (name, file) in files {
        let file = home.join(file);
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("could not read {}", file.display()))?;
        licences.push(Licence::of(name, text));
    }
    Ok(licences)
}

/// One licence text, as cargo-about prints it.
#[derive(Deserialize)]
pub(super) struct Licence {
    /// The SPDX identifier.
    id: String,
    text: String,
    /// None if the text is the template of the SPDX list.
    source_path: Option<PathBuf>,
    used_by: Vec<User>,
}

#[derive(Deserialize)]
struct User {
    #[serde(rename = "crate")]
    package: Package,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
}

impl Licence {
    /// The MIT licence of something that is not a crate.
    fn of(name: &str, text: String) -> Self {
        let package = Package { name: name.to_owned(), version: String::new() };
        let used_by = vec![User { package }];
        Self { id: "MIT".to_owned(), text, source_path: Some(PathBuf::new()), used_by }
    }

    /// Whether the text names the authors, which most licences require.
    fn is_complete(&self) -> bool {
        self.source_path.is_some() || self.id == "Apache-2.0"
    }

    fn users(&self) -> impl Iterator<Item = String> {
        self.used_by.iter().map(|User { package: Package { name, version } }| {
            format!("{name} {version}").trim_end().to_owned()
        })
    }
}

/// The licences that cargo-about finds in the sources of all crates that the package needs on the
/// target.
async fn of_crates(
    builder: &WheelBuilder<'_>,
    directory: &Path,
    triple: &str,
) -> Result<Vec<Licence>> {
    #[derive(Deserialize)]
    struct Found {
        licenses: Vec<Licence>,
    }

    let repository = builder.repository;
    let answer = tempfile::NamedTempFile::new()?;
    let mut about = process::command(repository.cargo_about().await?);
    about.args(["generate", "--locked", "--fail", "--format", "json", "--target", triple]);
    about.arg("--config").arg(repository.path("xtask/dist/about.toml"));
    about.arg("--manifest-path").arg(directory.join("Cargo.toml"));
    process::run(about.arg("--output-file").arg(answer.path())).await?;
    let found: Found = serde_json::from_str(&std::fs::read_to_string(answer.path())?)?;
    Ok(found.licenses)
}

/// A licence text and its users.
struct Section {
    text: String,
    ids: BTreeSet<String>,
    users: BTreeSet<String>,
}

/// All texts, each once, in the order of their users.
fn listed(licences: Vec<Licence>) -> Result<String> {
    let mut sections: BTreeMap<String, Section> = BTreeMap::new();
    for licence in licences {
        ensure!(
            licence.is_complete(),
            "the text of {} was not found for {}; name its file in xtask/dist/about.toml",
            licence.id,
            licence.users().collect::<Vec<_>>().join(", ")
        );
        // Copies of a text differ in their line breaks.
        let words = licence.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let section = sections.entry(words).or_insert_with(|| Section {
            text: licence.text.replace("\r\n", "\n"),
            ids: BTreeSet::new(),
            users: BTreeSet::new(),
        });
        section.users.extend(licence.users());
        section.ids.insert(licence.id);
    }
    let mut sections: Vec<_> = sections.into_values().collect();
    sections.sort_by(|one, other| one.users.cmp(&other.users));
    Ok(sections.iter().map(Section::shown).collect())
}

impl Section {
    fn shown(&self) -> String {
        let together = |names: &BTreeSet<String>, between: &str| {
            names.iter().map(String::as_str).collect::<Vec<_>>().join(between)
        };
        let (users, ids) = (together(&self.users, "\n"), together(&self.ids, ", "));
        let text = self.text.trim_end().trim_start_matches('\n');
        format!("\n{}\n{users}\n\nLicence: {ids}\n\n{text}\n", "-".repeat(80))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Licences as cargo-about prints them: id, text, its file, crate.
    fn licences(licences: &[(&str, &str, Option<&str>, &str)]) -> Vec<Licence> {
        let printed = licences.iter().map(|(id, text, source_path, name)| {
            serde_json::json!({
                "name": "", "id": id, "text": text, "source_path": source_path,
                "used_by": [{ "crate": { "name": name, "version": "1.0.0" }, "path": null }],
            })
        });
        serde_json::from_value(printed.collect()).unwrap()
    }

    #[test]
    fn a_text_is_listed_once_whatever_its_line_ends() {
        let list = listed(licences(&[
            ("MIT", "Permission is\r\nhereby granted\r\n", Some("LICENSE"), "url"),
            ("MIT", "Permission is hereby\ngranted", Some("LICENSE"), "idna"),
            ("ISC", "several licences", Some("LICENSE"), "aws-lc-sys"),
            ("MIT", "several licences", Some("LICENSE"), "aws-lc-sys"),
        ]));
        let line = "-".repeat(80);
        assert_eq!(
            list.unwrap(),
            format!(
                "\n{line}\naws-lc-sys 1.0.0\n\nLicence: ISC, MIT\n\nseveral licences\n\
                 \n{line}\nidna 1.0.0\nurl 1.0.0\n\nLicence: MIT\n\nPermission is\nhereby granted\n"
            )
        );
    }

    #[test]
    fn a_text_that_names_no_author_is_an_error_unless_none_has_to_be_named() {
        let model = "Copyright (c) <year> <copyright holders>";
        let error = listed(licences(&[("MIT", model, None, "slab")])).unwrap_err().to_string();
        assert!(error.contains("MIT was not found for slab 1.0.0"), "{error}");
        assert!(
            listed(licences(&[("Apache-2.0", "Apache License", None, "sync_wrapper")])).is_ok()
        );
    }

    #[test]
    fn licences_that_are_written_down_are_those_that_may_be_linked() {
        let read = |file: &str| {
            let text = std::fs::read_to_string(crate::tools::Repository::here().path(file));
            text.unwrap().parse::<toml::Table>().unwrap()
        };
        let names = |list: &toml::Value| {
            let names = list.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
            names.map(str::to_owned).collect::<BTreeSet<_>>()
        };
        assert_eq!(
            names(&read("xtask/dist/about.toml")["accepted"]),
            names(&read("deny.toml")["licenses"]["allow"])
        );
    }
}
