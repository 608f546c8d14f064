use std::fs::File;
use std::io::{BufRead as _, BufReader, Result, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use async_channel::Receiver;
use serde_json::Value;

/// Requests and answers are JSON, each ended by a zero byte.
const END: u8 = 0;

/// The way back to the broker.
#[derive(Clone, Debug)]
pub(crate) struct Replies(Arc<Mutex<File>>);

/// What the broker asks, read by a thread of its own, and the way back.
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
    /// Sends a message. If the broker is gone, the end of the other direction tells.
    pub(crate) fn send(&self, message: &Value) {
        let mut bytes = message.to_string().into_bytes();
        bytes.push(END);
        let mut output = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = output.write_all(&bytes);
    }
}
