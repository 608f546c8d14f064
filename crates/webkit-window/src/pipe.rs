use std::fs::File;
use std::io::{BufRead as _, BufReader, Result, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use async_channel::Receiver;
use serde_json::Value;

/// Requests and replies are JSON, each followed by a zero byte.
const END: u8 = 0;

/// Sends messages to the broker.
#[derive(Clone, Debug)]
pub(crate) struct Replies(Arc<Mutex<File>>);

/// The requests of the broker, read by a separate thread, and the sender of replies.
pub(crate) fn open() -> Result<(Receiver<Value>, Replies)> {
    let input = File::open("/proc/self/fd/3")?;
    let output = File::options().write(true).open("/proc/self/fd/4")?;
    let (sender, receiver) = async_channel::unbounded();
    std::thread::spawn(move || {
        for message in BufReader::new(input).split(END).map_while(Result::ok) {
            let Ok(message) = serde_json::from_slice(&message) else { continue };
            if sender.send_blocking(message).is_err() {
                return;
            }
        }
    });
    Ok((receiver, Replies(Arc::new(Mutex::new(output)))))
}

impl Replies {
    /// Sends a message. An error is ignored: if the broker has ended, reading reports it.
    pub(crate) fn send(&self, message: &Value) {
        let mut bytes = message.to_string().into_bytes();
        bytes.push(END);
        let mut output = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = output.write_all(&bytes);
    }
}
