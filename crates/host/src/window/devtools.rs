use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keybearer_core::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

/// The browser replies at once, or never.
const REPLY_LIMIT: Duration = Duration::from_secs(10);
/// Much more than the replies to our commands.
const MESSAGE_LIMIT: u64 = 4 * 1024 * 1024;

/// A DevTools connection over a pipe: JSON messages, each terminated by a zero byte
/// ([protocol](https://chromedevtools.github.io/devtools-protocol/)).
#[derive(Clone, Debug)]
pub(super) struct DevTools {
    outgoing: mpsc::UnboundedSender<Vec<u8>>,
    pending: Arc<Mutex<Pending>>,
}

#[derive(Debug, Default)]
struct Pending {
    last: u64,
    calls: HashMap<u64, oneshot::Sender<Result<Value>>>,
    closed: bool,
}

/// An event in the browser.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) method: String,
    /// The target of the event; `None` for the browser itself.
    pub(super) session: Option<String>,
    pub(super) params: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    id: Option<u64>,
    method: Option<String>,
    session_id: Option<String>,
    #[serde(default)]
    params: Value,
    #[serde(default)]
    result: Value,
    error: Option<ProtocolError>,
}

#[derive(Deserialize)]
struct ProtocolError {
    message: String,
}

impl DevTools {
    /// Uses these ends of a pipe. The events end with the connection.
    pub(super) fn start(
        writer: impl AsyncWrite + Unpin + Send + 'static,
        reader: impl AsyncRead + Unpin + Send + 'static,
    ) -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (outgoing, messages) = mpsc::unbounded_channel();
        let (events, incoming) = mpsc::unbounded_channel();
        let devtools = Self { outgoing, pending: Arc::default() };
        tokio::spawn(write(writer, messages));
        let pending = Arc::clone(&devtools.pending);
        tokio::spawn(async move {
            let ended = read(reader, &pending, &events).await;
            tracing::debug!(
                error = ended.err().map(tracing::field::display),
                "the window has ended"
            );
            let mut pending = lock(&pending);
            pending.closed = true;
            pending.calls.clear();
        });
        (devtools, incoming)
    }

    /// Sends a command to the browser or one of its targets, and waits for the reply.
    ///
    /// # Errors
    /// `Internal` if the browser refuses, has ended, or does not reply in time.
    pub(super) async fn call(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<Value> {
        let failed = |why: &str| {
            Error::internal(format!("could not call {method} in the sign-in window: {why}"))
        };
        let answer = self.send(session, method, params);
        match tokio::time::timeout(REPLY_LIMIT, answer).await {
            Ok(Ok(answer)) => answer.map_err(|error| failed("it refuses").with_source(error)),
            Ok(Err(_)) => Err(failed("it has ended")),
            Err(_) => Err(failed("it does not answer")),
        }
    }

    /// Sends a command without waiting; commands arrive in the order in which they are sent.
    pub(super) fn send(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> oneshot::Receiver<Result<Value>> {
        let (sender, answer) = oneshot::channel();
        let mut pending = lock(&self.pending);
        if pending.closed {
            return answer;
        }
        pending.last += 1;
        let mut message = json!({ "id": pending.last, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        if self.outgoing.send(bytes).is_ok() {
            let id = pending.last;
            pending.calls.insert(id, sender);
        }
        answer
    }
}

async fn write(
    mut writer: impl AsyncWrite + Unpin,
    mut messages: mpsc::UnboundedReceiver<Vec<u8>>,
) {
    while let Some(message) = messages.recv().await {
        if writer.write_all(&message).await.is_err() {
            return;
        }
    }
}

async fn read(
    reader: impl AsyncRead + Unpin,
    pending: &Mutex<Pending>,
    events: &mpsc::UnboundedSender<Event>,
) -> io::Result<()> {
    let mut reader = BufReader::new(reader);
    loop {
        // The message may contain an answer of the provider, so it is wiped after use.
        let mut message = Zeroizing::new(Vec::new());
        (&mut reader).take(MESSAGE_LIMIT).read_until(0, &mut message).await?;
        match message.pop() {
            None => return Ok(()),
            Some(0) => {}
            Some(_) => return Err(io::ErrorKind::InvalidData.into()),
        }
        let message: Message = serde_json::from_slice(&message)?;
        match message {
            Message { id: Some(id), result, error, .. } => {
                if let Some(call) = lock(pending).calls.remove(&id) {
                    let refused = |error: ProtocolError| Err(Error::internal(error.message));
                    // The caller may have been cancelled.
                    let _ = call.send(error.map_or(Ok(result), refused));
                }
            }
            Message { method: Some(method), session_id, params, .. } => {
                if events.send(Event { method, session: session_id, params }).is_err() {
                    return Ok(());
                }
            }
            Message { .. } => {}
        }
    }
}

fn lock(pending: &Mutex<Pending>) -> std::sync::MutexGuard<'_, Pending> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    /// Our end and the browser's.
    fn connected() -> (DevTools, mpsc::UnboundedReceiver<Event>, BufReader<DuplexStream>) {
        let (ours, theirs) = duplex(64);
        let (reader, writer) = tokio::io::split(ours);
        let (devtools, events) = DevTools::start(writer, reader);
        (devtools, events, BufReader::new(theirs))
    }

    async fn asked(browser: &mut BufReader<DuplexStream>) -> Value {
        let mut message = Vec::new();
        browser.read_until(0, &mut message).await.unwrap();
        assert_eq!(message.pop(), Some(0));
        serde_json::from_slice(&message).unwrap()
    }

    #[tokio::test]
    async fn answers_find_their_calls_in_any_order_and_events_come_in_between() {
        let (devtools, mut events, mut browser) = connected();
        let first = devtools.send(None, "A.one", json!({ "long": "x".repeat(200) }));
        let second = devtools.send(Some("s"), "B.two", json!({}));
        assert_eq!(asked(&mut browser).await["params"]["long"].as_str().unwrap().len(), 200);
        let message = asked(&mut browser).await;
        assert_eq!(message, json!({"id": 2, "method": "B.two", "params": {}, "sessionId": "s"}));
        for reply in [
            "{\"id\":2,\"error\":{\"code\":-1,\"message\":\"no\"}}\0",
            "{\"method\":\"C.three\",\"sessionId\":\"s\",\"params\":{\"a\":1}}\0{\"id\":9}\0{}\0",
            "{\"id\":1,\"result\":{\"b\":2}}\0",
        ] {
            browser.write_all(reply.as_bytes()).await.unwrap();
        }
        assert_eq!(first.await.unwrap().unwrap(), json!({"b": 2}));
        assert!(second.await.unwrap().unwrap_err().message().contains("no"));
        let event = events.recv().await.unwrap();
        assert_eq!((&*event.method, event.session.as_deref()), ("C.three", Some("s")));
        assert_eq!(event.params, json!({"a": 1}));
    }

    #[tokio::test]
    async fn a_browser_that_ends_or_talks_nonsense_ends_every_call_and_the_events() {
        for last_words in ["", "{\"id\":1", "nonsense\0"] {
            let (devtools, mut events, mut browser) = connected();
            let call = tokio::spawn({
                let devtools = devtools.clone();
                async move { devtools.call(None, "A.one", json!({})).await }
            });
            asked(&mut browser).await;
            browser.write_all(last_words.as_bytes()).await.unwrap();
            drop(browser);
            let error = call.await.unwrap().unwrap_err();
            assert!(error.message().contains("A.one") && error.message().contains("ended"));
            assert!(events.recv().await.is_none());
            assert!(devtools.call(None, "A.one", json!({})).await.is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn i7_a_browser_that_never_answers_is_not_waited_for() {
        let (devtools, _events, mut browser) = connected();
        let call = devtools.call(None, "A.one", json!({}));
        let (answer, _) = tokio::join!(call, asked(&mut browser));
        assert!(answer.unwrap_err().message().contains("does not answer"));
    }
}
