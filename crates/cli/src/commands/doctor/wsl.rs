use keybearer_client::{FoundBy, FoundProxy, WslProxyLocator};
use keybearer_core::Result;
use keybearer_host::Environment;

use super::LIMIT;
use super::finding::{Finding, Level};

const ABOUT: &str = "wsl";

/// Whether this is WSL, and whether the Windows broker will be used. `None` on any other Linux.
pub(super) async fn examine(
    environment: &Environment,
    locator: &WslProxyLocator,
) -> Option<Finding> {
    if !locator.wanted(environment) {
        return locator.is_wsl(environment).then(switched_off);
    }
    let found = Box::pin(locator.find(environment, LIMIT)).await;
    let version = match &found {
        Ok(_) => locator.version(LIMIT).await,
        Err(_) => None,
    };
    Some(described(found, version.as_deref()))
}

fn switched_off() -> Finding {
    let found = format!("{}=off: Linux's own broker is used", WslProxyLocator::VARIABLE);
    Finding::new(Level::Info, ABOUT, found)
        .with_hint(format!("unset {} to use Windows' accounts", WslProxyLocator::VARIABLE))
}

fn described(proxy: Result<FoundProxy>, version: Option<&str>) -> Finding {
    let proxy = match proxy {
        Ok(proxy) => proxy,
        Err(error) => {
            let mut finding = Finding::of_error(ABOUT, Level::Warning, &error);
            finding.found.push_str("; Linux's own broker is used instead");
            return finding;
        }
    };
    let by = match proxy.by {
        FoundBy::Variable => WslProxyLocator::VARIABLE,
        FoundBy::Wslinfo => "wslinfo",
        FoundBy::UsualPlace => "its usual place",
    };
    let version = version.map_or_else(String::new, |version| format!(", WSL {version}"));
    let found = format!(
        "Windows' accounts are used, through {} (found by {by}{version})",
        proxy.program.display()
    );
    Finding::new(Level::Ok, ABOUT, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locator(dir: &std::path::Path) -> WslProxyLocator {
        let place = |name: &str| dir.join(name);
        WslProxyLocator { os_release: place("r"), wslinfo: place("i"), usual: place("usual.exe") }
    }

    #[tokio::test]
    async fn each_case_says_what_is_used_and_each_problem_has_its_next_step() {
        let dir = tempfile::tempdir().unwrap();
        let locator = locator(dir.path());
        let off = [("WSL_DISTRO_NAME", "Debian"), (WslProxyLocator::VARIABLE, "off")];
        let examined = async |pairs: &[(&'static str, &'static str)]| {
            examine(&Environment::from_pairs(pairs.iter().copied()), &locator).await
        };
        assert_eq!(examined(&[]).await, None);

        let finding = examined(&off).await.unwrap();
        assert!(finding.level == Level::Info && finding.hint.is_some());

        let finding = examined(&off[..1]).await.unwrap();
        assert_eq!(finding.level, Level::Warning);
        assert!(finding.found.contains("Linux's own broker is used"), "{finding:?}");
        assert!(finding.hint.unwrap().contains("wsl.exe --update"));

        std::fs::write(&locator.usual, "").unwrap();
        let finding = examined(&off[..1]).await.unwrap();
        assert_eq!(finding.level, Level::Ok);
        assert!(finding.found.contains("usual.exe"), "{finding:?}");
    }

    #[test]
    fn a_known_version_is_told() {
        let proxy = FoundProxy { program: "/p.exe".into(), by: FoundBy::Wslinfo };
        let finding = described(Ok(proxy), Some("2.5.9"));
        assert!(finding.found.ends_with("/p.exe (found by wslinfo, WSL 2.5.9)"), "{finding:?}");
    }
}
