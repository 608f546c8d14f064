//! Which crate may depend on which. Nothing points upward.

use crate::process;
use crate::tools::Repository;
use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use std::collections::BTreeSet;

/// A crate and its direct dependencies. It may also use their dependencies.
const ALLOWED: &[(&str, &[&str])] = &[
    ("keybearer-core", &[]),
    ("keybearer-protocol", &["keybearer-core"]),
    ("keybearer-engine", &["keybearer-protocol"]),
    ("keybearer-dbus", &["keybearer-core"]),
    ("keybearer-host", &["keybearer-engine"]),
    ("keybearer-client", &["keybearer-dbus", "keybearer-host"]),
    ("keybearer-broker", &["keybearer-dbus", "keybearer-host"]),
    ("keybearer", &["keybearer-client"]),
    ("keybearer-python", &["keybearer-client"]),
    ("keybearer-cli", &["keybearer-client", "keybearer-broker"]),
    // Not protocol: two independent readings of the specification find mistakes.
    ("keybearer-emulator", &[]),
    // Its feature `emulated` connects the engine and the host to an emulator.
    ("keybearer-testkit", &["keybearer-host", "keybearer-emulator"]),
    // Wine activates it instead of Web Account Manager; nothing links it.
    ("keybearer-fake-wam", &[]),
    ("keybearer-examples", &["keybearer"]),
    // Measures every layer, with test doubles below it; nothing depends on it.
    ("keybearer-bench", &["keybearer", "keybearer-testkit"]),
    // Only the feature `client`: the person who signs in, and what an emulator reports in ready.json.
    ("xtask", &["keybearer-emulator"]),
];

/// Test doubles and servers that any crate's tests may use.
const FOR_TESTS: &[&str] = &["keybearer-testkit", "keybearer-emulator"];

/// Crates that may know the Azure SDK.
const AZURE_SDK_USERS: &[&str] = &["keybearer", "keybearer-bench", "keybearer-examples"];
const AZURE_SDK: &str = "azure_";
/// Crates whose tests may use it, as a real client of their servers.
const AZURE_SDK_TESTERS: &[&str] = &["keybearer-emulator"];

/// Checks the workspace as cargo sees it.
pub(crate) async fn check(repository: &Repository) -> Result<()> {
    let mut cargo =
        repository.cargo(&["metadata", "--no-deps", "--format-version", "1", "--locked"]);
    let metadata = process::capture(&mut cargo).await.context("could not read the crate graph")?;
    let metadata: Metadata =
        serde_json::from_str(&metadata).context("could not parse the crate graph")?;
    let wrong = violations(&metadata.packages);
    if !wrong.is_empty() {
        bail!(
            "the crate graph has arrows that are not allowed (see xtask/src/arrows.rs):\n  {}",
            wrong.join("\n  ")
        );
    }
    Ok(())
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `dev`, `build`, or none for an ordinary one.
    kind: Option<String>,
}

fn violations(packages: &[Package]) -> Vec<String> {
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let mut wrong = Vec::new();
    for package in packages {
        let name = package.name.as_str();
        let Some(below) = everything_below(name) else {
            wrong.push(format!("{name} is not in the table"));
            continue;
        };
        for dependency in &package.dependencies {
            let target = dependency.name.as_str();
            let in_tests = dependency.kind.as_deref() == Some("dev");
            let is_double = in_tests && FOR_TESTS.contains(&target);
            if ours.contains(target) && !below.contains(target) && !is_double {
                wrong.push(format!("{name} must not depend on {target}"));
            }
            let knows_sdk =
                AZURE_SDK_USERS.contains(&name) || (in_tests && AZURE_SDK_TESTERS.contains(&name));
            if target.starts_with(AZURE_SDK) && !knows_sdk {
                wrong.push(format!("{name} must not know the Azure SDK, but depends on {target}"));
            }
        }
    }
    wrong
}

fn everything_below(name: &str) -> Option<BTreeSet<&'static str>> {
    let (_, direct) = ALLOWED.iter().find(|(allowed, _)| *allowed == name)?;
    let mut below = BTreeSet::new();
    for target in *direct {
        below.insert(*target);
        below.extend(everything_below(target)?);
    }
    Some(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependencies = dependencies
            .iter()
            .map(|(name, kind)| Dependency {
                name: (*name).to_owned(),
                kind: kind.map(str::to_owned),
            })
            .collect();
        Package { name: name.to_owned(), dependencies }
    }

    /// The violations when `name` has this dependency, in a workspace of all crates.
    fn verdict(name: &str, dependency: &str, kind: Option<&str>) -> Vec<String> {
        let others = ALLOWED.iter().filter(|(other, _)| *other != name);
        let mut packages: Vec<Package> = others.map(|(other, _)| package(other, &[])).collect();
        packages.push(package(name, &[(dependency, kind)]));
        violations(&packages)
    }

    #[test]
    fn an_upward_arrow_is_refused() {
        let wrong = verdict("keybearer-core", "keybearer-engine", None);
        assert_eq!(wrong, ["keybearer-core must not depend on keybearer-engine"]);
    }

    #[test]
    fn an_upward_arrow_for_tests_is_refused_too() {
        assert_eq!(verdict("keybearer-core", "keybearer-engine", Some("dev")).len(), 1);
        assert_eq!(verdict("keybearer-core", "keybearer-engine", Some("build")).len(), 1);
    }

    #[test]
    fn a_crate_may_use_what_lies_below_its_neighbours() {
        assert!(verdict("keybearer-client", "keybearer-core", None).is_empty());
        assert!(verdict("keybearer-cli", "keybearer-dbus", None).is_empty());
    }

    #[test]
    fn the_emulator_must_not_reuse_the_protocol() {
        assert_eq!(verdict("keybearer-emulator", "keybearer-protocol", None).len(), 1);
        assert_eq!(verdict("keybearer-emulator", "keybearer-protocol", Some("dev")).len(), 1);
    }

    #[test]
    fn test_doubles_are_for_tests_only() {
        assert!(verdict("keybearer-engine", "keybearer-testkit", Some("dev")).is_empty());
        assert_eq!(verdict("keybearer-engine", "keybearer-testkit", None).len(), 1);
        assert!(verdict("keybearer-host", "keybearer-emulator", Some("dev")).is_empty());
    }

    #[test]
    fn only_the_credential_and_the_examples_know_the_azure_sdk() {
        assert!(verdict("keybearer", "azure_core", None).is_empty());
        assert!(verdict("keybearer-examples", "azure_storage_blob", None).is_empty());
        assert_eq!(verdict("keybearer-client", "azure_core", None).len(), 1);
        assert_eq!(verdict("keybearer-emulator", "azure_core", None).len(), 1);
        assert!(verdict("keybearer-emulator", "azure_core", Some("dev")).is_empty());
    }

    #[test]
    fn a_crate_that_nobody_placed_is_refused() {
        assert_eq!(
            violations(&[package("keybearer-new", &[])]),
            ["keybearer-new is not in the table"]
        );
    }
}
