//! The real program at a private terminal: standard input and error are a pseudo-terminal,
//! standard output is a pipe, as in `TOKEN=$(keybearer token)`.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use keybearer_emulator::eventually;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// A running program and its terminal.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    shown: Arc<Mutex<Vec<u8>>>,
    /// Kept open, so that its settings can be read after the program has ended.
    line: OwnedFd,
}

/// How a program ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) shown: String,
}

impl Terminal {
    /// Starts the program with the terminal as its controlling one.
    pub(crate) fn start(program: &Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let line = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let size = Winsize { ws_row: 40, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&line, size).unwrap();
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program.get_program()).args(program.get_args()).env_clear();
        for (name, value) in program.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command.stdin(line.try_clone().unwrap()).stderr(line.try_clone().unwrap());
        let child = command.stdout(Stdio::piped()).spawn().unwrap();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let mut screen = File::from(master.try_clone().unwrap());
        let kept = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = screen.read(&mut buffer) {
                kept.lock().unwrap().extend_from_slice(&buffer[..length]);
            }
        });
        Self { child, keyboard: File::from(master), shown, line: line.into() }
    }

    /// All output on the screen so far.
    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).replace("\r\n", "\n")
    }

    /// Waits until the text is on the screen.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        eventually(text, || {
            let shown = self.shown();
            if !shown.contains(text) && self.child.try_wait().unwrap().is_some() {
                panic!("the program ended without {text:?}: {shown}");
            }
            Some(shown).filter(|shown| shown.contains(text))
        })
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the program reads single keys without echo.
    pub(crate) fn wait_until_it_listens(&self) {
        eventually("the program reads keys", || (!self.echoes()).then_some(()));
    }

    /// Whether the terminal echoes what is typed, as it does for a shell.
    pub(crate) fn echoes(&self) -> bool {
        tcgetattr(&self.line).unwrap().local_modes.contains(LocalModes::ECHO | LocalModes::ICANON)
    }

    /// Waits for the end, and checks that the terminal has its settings from before.
    pub(crate) fn end(mut self) -> Ended {
        let status = eventually("the program ends", || self.child.try_wait().unwrap());
        let mut stdout = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        assert!(self.echoes(), "the terminal was not restored");
        Ended { code: status.code(), stdout, shown: self.shown() }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
