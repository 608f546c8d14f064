use std::path::{Path, PathBuf};

use keybearer_core::Result;
use keybearer_host::Environment;
use serde::Serialize;

use super::conflict::{Conflict, activated_elsewhere, value};
use super::contents::{SERVICE_UNIT, SOCKET_UNIT};
use super::{Directories, Installation};

/// What starts brokers for this user.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Found {
    /// The files that `install` wrote.
    pub files: Vec<PathBuf>,
    /// The program they start.
    pub program: Option<PathBuf>,
    /// The files of other brokers.
    #[serde(skip)]
    pub others: Vec<Conflict>,
}

impl Installation {
    /// Finds what is installed. Changes nothing.
    ///
    /// # Errors
    /// `Internal` if there is no home directory, or a file cannot be read.
    pub fn find(environment: &Environment) -> Result<Found> {
        let directories = Directories::of(environment)?;
        let (mut files, mut program) = (Vec::new(), None);
        for file in [
            directories.activation(),
            directories.unit(SERVICE_UNIT),
            directories.unit(SOCKET_UNIT),
        ] {
            if let Some(content) = file.own_content()? {
                files.push(file.path().to_owned());
                program = program.or_else(|| started_by(&content));
            }
        }
        Ok(Found { files, program, others: activated_elsewhere(environment, &directories.data) })
    }
}

/// Our files quote nothing but the program.
fn started_by(content: &str) -> Option<PathBuf> {
    let command = value(content, "Exec").or_else(|| value(content, "ExecStart"))?;
    command.strip_prefix('"')?.split_once('"').map(|(program, _)| Path::new(program).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::install::{Units, contents};

    #[test]
    fn the_program_is_read_as_it_was_written() {
        let program = Path::new("/opt/my apps/keybearer");
        let quoted = contents::quoted(program).unwrap();
        for content in [contents::activation(&quoted, Units::Left), contents::service(&quoted)] {
            assert_eq!(started_by(&content).as_deref(), Some(program), "{content}");
        }
        assert_eq!(started_by(&contents::socket()), None);
    }
}
