//! The log of requests, for tests. It never contains a secret.

use serde::Serialize;

/// A request, as `GET /emulator/requests` shows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    /// The number of the request in this run, from 1.
    pub(crate) seq: u64,
    pub(crate) method: String,
    /// Without the query, which may contain codes.
    pub(crate) path: String,
    pub(crate) grant: Option<String>,
    pub(crate) client_id: Option<String>,
    /// The app that hosts the client.
    pub(crate) brk_client_id: Option<String>,
    /// `pop` for a token that is bound to a key, or nothing.
    pub(crate) token_type: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) tenant: Option<String>,
    pub(crate) correlation_id: String,
    /// `token`, `page`, an AADSTS code, a status, or the effect of a fault. `pending` until the reply.
    pub(crate) outcome: String,
}

/// All requests since the last clear.
#[derive(Debug, Default)]
pub(crate) struct RequestLog {
    last_seq: u64,
    pub(crate) entries: Vec<Entry>,
}

impl RequestLog {
    /// Adds the request and returns its number.
    pub(crate) fn begin(&mut self, entry: Entry) -> u64 {
        self.last_seq += 1;
        self.entries.push(Entry { seq: self.last_seq, ..entry });
        self.last_seq
    }

    pub(crate) fn finish(&mut self, seq: u64, outcome: &str) {
        if let Some(entry) = self.entries.iter_mut().rev().find(|entry| entry.seq == seq) {
            outcome.clone_into(&mut entry.outcome);
        }
    }
}
