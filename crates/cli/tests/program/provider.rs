//! An emulated provider, and a person whose browser is on another machine.

use keybearer_emulator::{Home, Laboratory, PersonError};
use tokio::runtime::Runtime;

pub(crate) struct Provider {
    laboratory: Laboratory,
    runtime: Runtime,
}

impl Provider {
    pub(crate) fn start() -> Self {
        Self { laboratory: Laboratory::start().unwrap(), runtime: Runtime::new().unwrap() }
    }

    /// Directories of a person who trusts this provider, at a terminal without a display.
    pub(crate) fn home(&self) -> Home {
        let home = self.laboratory.home().unwrap();
        home.with_keybearer(env!("CARGO_BIN_EXE_keybearer")).with("TERM", "xterm")
    }

    /// Signs `user` in at an address, with a new browser. Returns the address at which that ended,
    /// whether there is a page or not.
    pub(crate) fn sign_in(&self, user: &str, address: &str) -> String {
        let person = self.laboratory.person(user).unwrap();
        match self.runtime.block_on(person.visit(address)) {
            Ok(landing) => landing.url().to_string(),
            Err(PersonError::Unreachable { url, .. }) => url.into(),
            Err(error) => panic!("{error}"),
        }
    }

    /// Signs `user` in on a machine that cannot reach the address it is sent back to. Returns that
    /// address.
    pub(crate) fn sign_in_elsewhere(&self, user: &str, address: &str) -> String {
        let person = self.laboratory.person(user).unwrap().staying_at(&self.laboratory.url(""));
        let landing = self.runtime.block_on(person.visit(address)).unwrap();
        url::Url::parse(&landing.location.unwrap()).unwrap().into()
    }

    /// Opens a page and leaves it.
    pub(crate) fn open(&self, address: &str) {
        let person = self.laboratory.person("dev").unwrap();
        self.runtime.block_on(person.open(address)).unwrap();
    }
}
