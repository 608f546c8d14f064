use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use keybearer_core::{Error, Missing, Result};
use rustix::fs::OFlags;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use tokio::net::unix::pipe::Receiver;
use zeroize::Zeroizing;

use super::key::Key;

/// The bytes of an escape sequence arrive together; a longer pause means the escape key.
const SEQUENCE: Duration = Duration::from_millis(50);

/// The terminal of this process, read key by key and without echo. Its other settings do not change:
/// Ctrl-C still interrupts. Dropping it restores the settings.
#[derive(Debug)]
pub(super) struct Tty {
    /// Read like a pipe.
    terminal: Receiver,
    before: Termios,
    unread: Zeroizing<Vec<u8>>,
}

impl Tty {
    /// Opens the terminal.
    ///
    /// # Errors
    /// `Unavailable(UserInterface)` if there is none.
    pub(super) fn open() -> Result<Self> {
        Self::take().map_err(|error| {
            Error::unavailable(Missing::UserInterface, "could not open the terminal")
                .with_source(error)
                .with_hint("run the command in a terminal")
        })
    }

    fn take() -> io::Result<Self> {
        // A new file description, because O_NONBLOCK applies to all that share one.
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
        let flags = i32::try_from(flags).unwrap_or_default();
        let terminal = OpenOptions::new().read(true).custom_flags(flags).open("/dev/tty")?;
        let before = tcgetattr(&terminal)?;
        let mut modes = before.clone();
        modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        let terminal = Receiver::from_owned_fd_unchecked(terminal.into())?;
        tcsetattr(&terminal, OptionalActions::Now, &modes)?;
        Ok(Self { terminal, before, unread: Zeroizing::default() })
    }

    /// The next key.
    ///
    /// # Errors
    /// `Internal` if the terminal cannot be read.
    pub(super) async fn key(&mut self) -> Result<Key> {
        loop {
            if let Some((key, length)) = key(&self.unread) {
                let alone = key == Key::Escape && self.unread.len() == 1;
                if alone && self.more_follows().await? {
                    continue;
                }
                self.unread.drain(..length);
                return Ok(key);
            }
            if self.read().await? == 0 {
                return Ok(Key::End);
            }
        }
    }

    async fn more_follows(&mut self) -> Result<bool> {
        match tokio::time::timeout(SEQUENCE, self.read()).await {
            Ok(read) => read.map(|length| length > 0),
            Err(_) => Ok(false),
        }
    }

    async fn read(&mut self) -> Result<usize> {
        let mut buffer = Zeroizing::new([0; 1024]);
        let read = async {
            loop {
                self.terminal.readable().await?;
                match self.terminal.try_read(&mut buffer[..]) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => return read,
                }
            }
        };
        let length = read.await.map_err(|error| {
            Error::internal("could not read from the terminal").with_source(error)
        })?;
        self.unread.extend_from_slice(&buffer[..length]);
        Ok(length)
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

/// The first key in `bytes`, and its length; `None` if it is not complete yet.
fn key(bytes: &[u8]) -> Option<(Key, usize)> {
    let simple = |key| Some((key, 1));
    match bytes {
        [] => None,
        [b'\r' | b'\n', ..] => simple(Key::Enter),
        [0x7f | 0x08, ..] => simple(Key::Backspace),
        [0x15, ..] => simple(Key::Clear),
        [0x04, ..] => simple(Key::End),
        [0x1b, b'[' | b'O', rest @ ..] => sequence(rest).map(|(key, length)| (key, length + 2)),
        [0x1b, ..] => simple(Key::Escape),
        [first, ..] => {
            let length = match first {
                0xc0..=0xdf => 2,
                0xe0..=0xef => 3,
                0xf0..=0xff => 4,
                _ => 1,
            };
            let character = bytes.get(..length)?;
            let character = std::str::from_utf8(character).ok().and_then(|c| c.chars().next());
            let character = character.filter(|c| !c.is_control());
            Some((character.map_or(Key::Other, Key::Character), length))
        }
    }
}

/// What follows `ESC [`, ECMA-48 §5.4: parameters, then one final byte.
fn sequence(bytes: &[u8]) -> Option<(Key, usize)> {
    let last = bytes.iter().position(|byte| (0x40..=0x7e).contains(byte))?;
    let key = match bytes[..=last] {
        [b'A'] => Key::Up,
        [b'B'] => Key::Down,
        _ => Key::Other,
    };
    Some((key, last + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_from_their_bytes() {
        for (bytes, expected) in [
            (&b"a1"[..], Some((Key::Character('a'), 1))),
            ("é!".as_bytes(), Some((Key::Character('é'), 2))),
            (b"\xc3", None),
            (b"\xff\xff\xff\xff", Some((Key::Other, 4))),
            (b"\r", Some((Key::Enter, 1))),
            (b"\x1b[A", Some((Key::Up, 3))),
            (b"\x1bOBx", Some((Key::Down, 3))),
            (b"\x1b[1;5A", Some((Key::Other, 6))),
            (b"\x1b[", None),
            (b"\x1b", Some((Key::Escape, 1))),
            (b"\x1bx", Some((Key::Escape, 1))),
            (b"\x7f", Some((Key::Backspace, 1))),
            (b"\x15", Some((Key::Clear, 1))),
            (b"\x04", Some((Key::End, 1))),
            (b"\x01", Some((Key::Other, 1))),
            (b"", None),
        ] {
            assert_eq!(key(bytes), expected, "{bytes:?}");
        }
    }
}
