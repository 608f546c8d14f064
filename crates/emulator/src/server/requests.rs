//! What the emulator was asked, for tests to look at. Never holds a secret.

use serde::Serialize;

/// One request, as `GET /emulator/requests` tells it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    /// Counts from 1, over the whole run.
    pub(crate) seq: u64,
    pub(crate) method: String,
    /// Without the query, which may hold codes.
    pub(crate) path: String,
    pub(crate) grant: Option<String>,
    pub(crate) client_id: Option<String>,
    /// The app that the client is in.
    pub(crate) brk_client_id: Option<String>,
    /// How the token asked for is to be presented: `pop` or nothing.
    pub(crate) token_type: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) tenant: Option<String>,
    pub(crate) correlation_id: String,
    /// `token`, `page`, an AADSTS code, a status, or what a fault did. `pending` while unanswered.
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
