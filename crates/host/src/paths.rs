use std::path::{Path, PathBuf};

use keybearer_core::{Error, Result};

use crate::environment::Environment;

const SOCKET: &str = "broker.sock";

/// The paths of Keybearer's files: by the XDG Base Directory Specification, on Windows in the user's
/// profile.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Paths {
    /// The configuration file; may be absent.
    pub config_file: PathBuf,
    /// The directory of the token store and, without a keyring, its key. Private.
    pub state_dir: PathBuf,
    /// The directory of the socket. Private.
    pub runtime_dir: PathBuf,
    /// The broker's socket. Not used on Windows.
    pub socket: PathBuf,
    /// The lock file of the running broker; on Windows, of the process that uses the state directory.
    pub lock: PathBuf,
}

/// What the paths depend on besides the environment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UserFacts {
    /// The user id.
    pub uid: u32,
    /// `/run/user/UID`, if it exists and belongs to this user.
    pub run_user: Option<PathBuf>,
}

impl Paths {
    /// The paths in this environment.
    ///
    /// # Errors
    /// `Internal` if neither `HOME` nor the XDG variables are set.
    pub fn resolve(environment: &Environment, user: &UserFacts) -> Result<Self> {
        let config = base(environment, "XDG_CONFIG_HOME", ".config")?;
        let state = base(environment, "XDG_STATE_HOME", ".local/state")?;
        let runtime_dir = runtime_dir(environment, user);
        Ok(Self {
            config_file: config.join("keybearer/config.toml"),
            state_dir: state.join("keybearer"),
            socket: runtime_dir.join(SOCKET),
            lock: runtime_dir.join("broker.lock"),
            runtime_dir,
        })
    }

    /// The paths for this process.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    #[cfg(unix)]
    pub fn current(environment: &Environment) -> Result<Self> {
        Self::resolve(environment, &UserFacts::current())
    }

    /// The runtime directory and the socket in it, even if the other paths cannot be resolved.
    #[cfg(unix)]
    #[must_use]
    pub fn meeting_place(environment: &Environment) -> (PathBuf, PathBuf) {
        let directory = runtime_dir(environment, &UserFacts::current());
        let socket = directory.join(SOCKET);
        (directory, socket)
    }

    /// The paths for this process.
    ///
    /// # Errors
    /// As [`of_profile`](Self::of_profile).
    #[cfg(windows)]
    pub fn current(environment: &Environment) -> Result<Self> {
        Self::of_profile(environment)
    }

    /// The paths in a Windows profile: the configuration roams with the user (`%APPDATA%`), the state
    /// stays on the machine that it is sealed for (`%LOCALAPPDATA%`).
    ///
    /// # Errors
    /// `Internal` if the variables are not set.
    pub fn of_profile(environment: &Environment) -> Result<Self> {
        let directory = |name: &str| {
            let dir = environment.value(name).map(PathBuf::from);
            dir.ok_or_else(|| {
                Error::internal(format!("could not find the directory of {name}"))
                    .with_hint(format!("set {name}, as Windows does at the start of a session"))
            })
        };
        let state_dir = directory("LOCALAPPDATA")?.join("keybearer");
        Ok(Self {
            config_file: directory("APPDATA")?.join("keybearer").join("config.toml"),
            socket: state_dir.join(SOCKET),
            lock: state_dir.join("engine.lock"),
            runtime_dir: state_dir.clone(),
            state_dir,
        })
    }
}

impl UserFacts {
    /// The user of this process.
    #[cfg(unix)]
    #[must_use]
    pub fn current() -> Self {
        use std::os::unix::fs::MetadataExt;
        let uid = rustix::process::geteuid().as_raw();
        let run_user = PathBuf::from(format!("/run/user/{uid}"));
        let own = run_user.symlink_metadata().is_ok_and(|m| m.is_dir() && m.uid() == uid);
        Self { uid, run_user: own.then_some(run_user) }
    }
}

/// The specification requires that relative paths in these variables are ignored.
fn absolute<'a>(environment: &'a Environment, name: &str) -> Option<&'a Path> {
    environment.value(name).map(Path::new).filter(|path| path.is_absolute())
}

fn base(environment: &Environment, name: &str, below_home: &str) -> Result<PathBuf> {
    let home = || absolute(environment, "HOME").map(|home| home.join(below_home));
    absolute(environment, name).map(Path::to_owned).or_else(home).ok_or_else(|| {
        Error::internal(format!("could not find the directory of {name}"))
            .with_hint("set HOME to your home directory")
    })
}

fn runtime_dir(environment: &Environment, user: &UserFacts) -> PathBuf {
    let given = absolute(environment, "XDG_RUNTIME_DIR").or(user.run_user.as_deref());
    given.map(|dir| dir.join("keybearer")).unwrap_or_else(|| {
        // Any user can make a directory of this name there; `private_dir` refuses one that is not ours.
        let temporary = absolute(environment, "TMPDIR").unwrap_or_else(|| Path::new("/tmp"));
        temporary.join(format!("keybearer-{}", user.uid))
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn paths_follow_the_xdg_variables_and_their_defaults() {
        let none = UserFacts { uid: 7, run_user: None };
        let own = UserFacts { uid: 7, run_user: Some("/run/user/7".into()) };
        let home = ("HOME", "/h");
        for (pairs, user, expected) in [
            (vec![home], &none, ["/h/.config", "/h/.local/state", "/tmp/keybearer-7"]),
            (vec![home], &own, ["/h/.config", "/h/.local/state", "/run/user/7/keybearer"]),
            (
                vec![home, ("XDG_RUNTIME_DIR", "/r"), ("XDG_STATE_HOME", "/s")],
                &own,
                ["/h/.config", "/s", "/r/keybearer"],
            ),
            (
                vec![("XDG_CONFIG_HOME", "/c"), ("XDG_STATE_HOME", "/s"), ("TMPDIR", "/t")],
                &none,
                ["/c", "/s", "/t/keybearer-7"],
            ),
            (
                vec![home, ("XDG_CONFIG_HOME", "relative"), ("XDG_RUNTIME_DIR", "")],
                &none,
                ["/h/.config", "/h/.local/state", "/tmp/keybearer-7"],
            ),
        ] {
            let paths = Paths::resolve(&Environment::from_pairs(pairs), user).unwrap();
            let [config, state, runtime] = expected.map(PathBuf::from);
            assert_eq!(paths.config_file, config.join("keybearer/config.toml"));
            assert_eq!(paths.state_dir, state.join("keybearer"));
            assert_eq!(
                (&paths.socket, &paths.runtime_dir),
                (&runtime.join("broker.sock"), &runtime)
            );
        }
    }

    #[test]
    fn on_windows_the_configuration_roams_and_the_state_stays() {
        let variables = [("APPDATA", "/roaming"), ("LOCALAPPDATA", "/local")];
        let paths = Paths::of_profile(&Environment::from_pairs(variables)).unwrap();
        assert_eq!(paths.config_file, Path::new("/roaming/keybearer/config.toml"));
        assert_eq!(paths.state_dir, Path::new("/local/keybearer"));
        let error = Paths::of_profile(&Environment::default()).unwrap_err();
        assert!(error.hint().unwrap().contains("LOCALAPPDATA"));
    }

    #[test]
    fn without_a_home_the_error_names_the_variable() {
        let error = Paths::resolve(&Environment::default(), &UserFacts::default()).unwrap_err();
        assert!(error.hint().unwrap().contains("HOME"));
    }
}
