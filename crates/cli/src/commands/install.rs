//! Installs the broker for this user, and removes it.

use std::time::Duration;

use clap::{Args, ValueEnum};
use keybearer_broker::{Conflict, Installation, NameHolder, Removal, Units, Written, reload_bus};
use keybearer_core::{Error, Result};
use keybearer_dbus::client::{Activation, BrokerProxy};
use keybearer_host::{Environment, Paths};

use super::below_help;
use crate::output;
use crate::session::run;

const EXAMPLES: &str = "\
Examples:
  keybearer broker install
  keybearer broker install --systemd never";

/// How long the bus may take to answer.
const LIMIT: Duration = Duration::from_secs(5);

/// Let the session bus and systemd start the broker
///
/// Writes an activation file for the name com.microsoft.identity.broker1 and, if systemd runs, a
/// service and its socket, all in your home directory. Fails if another broker is installed or
/// running.
#[derive(Args, Debug)]
#[command(after_help = below_help(EXAMPLES))]
pub(super) struct Install {
    /// Also write the files for systemd
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    systemd: When,
    /// Take precedence over another broker; `uninstall` restores it
    #[arg(long)]
    force: bool,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum When {
    /// If systemd runs on this machine
    Auto,
    /// Even if systemd does not run
    Always,
    /// Never
    Never,
}

impl When {
    fn units(self) -> Units {
        // sd_booted(3).
        let booted = || std::path::Path::new("/run/systemd/system").is_dir();
        match self {
            Self::Always => Units::Written,
            Self::Auto if booted() => Units::Written,
            Self::Auto | Self::Never => Units::Left,
        }
    }
}

impl Install {
    pub(super) fn run(&self) -> Result<()> {
        let environment = Environment::current();
        let program = std::env::current_exe().map_err(|error| {
            Error::internal("could not find the path of this program").with_source(error)
        })?;
        let units = self.systemd.units();
        let plan = Installation::plan(&environment, &program, units)?;
        let mut conflicts = plan.conflicts().to_vec();
        conflicts.extend(run(async { Ok(running(&environment).await) })?);
        let wanted = self.force && conflicts.iter().all(Conflict::gives_way);
        if !conflicts.is_empty() && !wanted {
            return Err(Installation::refusal(&conflicts));
        }
        let written = plan.write()?;
        let reloaded = run(async { Ok(reload(&environment).await) })?;
        output::text(&describe(&written, &conflicts, &reloaded, units))
    }
}

/// Removes what `install` wrote.
pub(super) fn uninstall() -> Result<()> {
    let environment = Environment::current();
    let removed = Installation::remove(&environment)?;
    let reloaded = run(async { Ok(reload(&environment).await) })?;
    let mut text = String::new();
    for removal in &removed {
        text.push_str(&match removal {
            Removal::Removed(path) => format!("removed    {}\n", path.display()),
            Removal::Restored(path) => format!("restored   {}\n", path.display()),
            Removal::Left(path) => {
                format!("left       {}, which `install` did not write\n", path.display())
            }
        });
    }
    if removed.is_empty() {
        text.push_str("nothing was installed\n");
    }
    text.push_str(&reloaded.note());
    if removed.iter().any(|removal| matches!(removal, Removal::Removed(path) if is_unit(path))) {
        text.push_str(
            "next: systemctl --user stop keybearer-broker.socket keybearer-broker.service\n",
        );
        text.push_str("next: systemctl --user daemon-reload\n");
    } else if Paths::current(&environment)?.socket.exists() {
        text.push_str("next: keybearer broker stop\n");
    }
    output::text(&text)
}

fn is_unit(path: &std::path::Path) -> bool {
    path.extension().is_some_and(|extension| extension == "socket")
}

/// The other broker that owns the name now, if there is one.
async fn running(environment: &Environment) -> Option<Conflict> {
    let address = environment.session_bus_address()?;
    let owner = BrokerProxy::connect_bus(&address, Activation::Leave, LIMIT).await.ok()?;
    let process = owner.process();
    let own = Paths::current(environment).ok()?;
    let own = BrokerProxy::connect_socket(&own.socket, LIMIT).await;
    let ours = own.is_ok_and(|own| own.process().pid == process.pid)
        || process.executable.is_some() && process.executable == std::env::current_exe().ok();
    (!ours).then(|| {
        Conflict::Running(NameHolder {
            unique_name: String::new(),
            pid: Some(process.pid),
            executable: process.executable.clone(),
        })
    })
}

/// Whether the session bus has read the files.
enum Reloaded {
    NoBus,
    /// The bus can start a broker.
    Starts,
    /// The bus cannot start a broker.
    StartsNone,
    Failed(Error),
}

async fn reload(environment: &Environment) -> Reloaded {
    let Some(address) = environment.session_bus_address() else { return Reloaded::NoBus };
    match reload_bus(&address, LIMIT).await {
        Ok(true) => Reloaded::Starts,
        Ok(false) => Reloaded::StartsNone,
        Err(error) => Reloaded::Failed(error),
    }
}

impl Reloaded {
    fn note(&self) -> String {
        match self {
            Self::Starts | Self::StartsNone => String::new(),
            Self::NoBus => {
                "there is no session bus now; programs that use Keybearer use the socket\n".into()
            }
            Self::Failed(error) => {
                format!("{}; the session bus reads the files at your next login\n", error.message())
            }
        }
    }
}

fn describe(
    written: &[Written],
    conflicts: &[Conflict],
    reloaded: &Reloaded,
    units: Units,
) -> String {
    let mut text = String::new();
    for file in written {
        text.push_str(&match file {
            Written::New(path) => format!("wrote      {}\n", path.display()),
            Written::Unchanged(path) => format!("unchanged  {}\n", path.display()),
        });
    }
    for conflict in conflicts {
        text.push_str(&format!("conflict   {conflict}\n"));
    }
    text.push_str(&reloaded.note());
    if matches!(reloaded, Reloaded::StartsNone) {
        text.push_str(
            "the session bus does not read that directory: it has another XDG_DATA_HOME or home \
             directory\n",
        );
    }
    if units == Units::Written {
        text.push_str("next: systemctl --user daemon-reload\n");
        text.push_str("next: systemctl --user enable --now keybearer-broker.socket\n");
    }
    for conflict in conflicts {
        if let Conflict::Running(NameHolder { pid: Some(pid), .. }) = conflict {
            text.push_str(&format!(
                "next: stop process {pid}, then run `keybearer broker status`\n"
            ));
        }
    }
    text
}
