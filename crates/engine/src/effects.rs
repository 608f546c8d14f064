//! What the engine needs of the world, as object-safe traits. `host` implements them for real; the
//! tests implement them in memory, with simulated time.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keybearer_core::{
    Account, AccountPick, AuthorityHost, Caller, CallerUi, ClientId, CorrelationId, Error,
    MasterKey, Missing, Result, ScopeSet, Tenant, Timestamp,
};
use keybearer_protocol::authorize::ResponseMode;
use keybearer_protocol::{Body, RedirectParameters};
use url::Url;

/// All effects in one cloneable value.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "built field by field by host and by tests")]
pub struct Effects {
    /// The network.
    pub http: Arc<dyn Http>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Where sealed records are kept.
    pub store: Arc<dyn TokenStore>,
    /// Where the key that seals them is kept.
    pub keys: Arc<dyn KeyStore>,
    /// The person.
    pub sign_in_ui: Arc<dyn SignInUi>,
    /// Work that goes on when its caller has left.
    pub spawner: Arc<dyn Spawner>,
}

/// One HTTP exchange over TLS. Redirects are not followed.
#[async_trait]
pub trait Http: Send + Sync + fmt::Debug {
    /// Sends a request and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// `Unavailable(Network)` when the server cannot be reached or its certificate is not trusted
    /// (with the variable to set as hint), `Transient` when the connection broke in mid-answer.
    async fn send(&self, request: http::Request<Body>) -> Result<http::Response<Body>>;
}

/// Wall clock and timer.
#[async_trait]
pub trait Clock: Send + Sync + fmt::Debug {
    /// The wall clock; it may be wrong and may jump.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment: it never goes back, whatever happens to the wall clock, and
    /// goes on while the machine sleeps (`CLOCK_BOOTTIME`). Without such a clock, the wall clock
    /// stands in, and a token may be served for longer than it is valid once that is set back.
    fn uptime(&self) -> Duration {
        let millis = self.now().unix_millis();
        Duration::from_millis(u64::try_from(millis).unwrap_or_default())
    }

    /// Waits by a monotonic clock.
    async fn sleep(&self, duration: Duration);
}

/// A cryptographically secure source of random bytes.
pub trait Random: Send + Sync + fmt::Debug {
    /// Fills the buffer.
    fn fill(&self, buffer: &mut [u8]);
}

impl dyn Random + '_ {
    /// Fresh random bytes.
    pub(crate) fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
}

/// Runs a future to its end, independently of who asked for it.
pub trait Spawner: Send + Sync + fmt::Debug {
    /// Starts the future.
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>);
}

/// Durable records, opaque to the store: the engine seals them before they get here.
#[async_trait]
pub trait TokenStore: Send + Sync + fmt::Debug {
    /// The next records after a key, or the first, in the order of their keys; none at the end. In
    /// pages, so that a large store is not in memory twice.
    ///
    /// # Errors
    /// `Internal` if the store cannot be opened or belongs to somebody else; the hint names the
    /// path and the remedy.
    async fn load(&self, after: Option<&RecordKey>) -> Result<Vec<Record>>;

    /// The record of this key, if there is one.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    async fn read(&self, key: &RecordKey) -> Result<Option<Record>>;

    /// Applies all changes or none, and returns when they would survive a power cut
    /// (invariant I3).
    ///
    /// # Errors
    /// `Internal` if they could not be written; the store then holds what it held before.
    async fn commit(&self, changes: Vec<Change>) -> Result<()>;
}

/// A sealed value under a key that is not secret.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "plain data")]
pub struct Record {
    /// What the record is about.
    pub key: RecordKey,
    /// Its content, sealed (invariant I4).
    pub value: SealedRecord,
}

/// The name of a record, such as `account/login.windows.net/uid.utid`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(clippy::exhaustive_structs, reason = "plain data")]
pub struct RecordKey(pub String);

/// Sealed bytes: useless without the master key, so they may be printed, copied and stored.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(clippy::exhaustive_structs, reason = "plain data")]
pub struct SealedRecord(pub Vec<u8>);

/// One step of a commit.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_enums, reason = "a store must apply every change")]
pub enum Change {
    /// Adds or replaces a record.
    Put(Record),
    /// Removes a record; removing an absent one changes nothing.
    Delete(RecordKey),
}

/// Keeps the key that seals the store.
#[async_trait]
pub trait KeyStore: Send + Sync + fmt::Debug {
    /// The master key, made on first use.
    ///
    /// # Errors
    /// `Unavailable(Key)` if it exists but cannot be had now (a locked keyring); nothing is
    /// overwritten then.
    async fn master_key(&self) -> Result<MasterKey>;
}

/// The person, and whatever shows them pages.
#[async_trait]
pub trait SignInUi: Send + Sync + fmt::Debug {
    /// Prepares a place where the answer can arrive, before anything is shown (invariant I9).
    ///
    /// # Errors
    /// `Unavailable(UserInterface)` if there is no way to reach a person from here, with what to
    /// do instead as hint; `InvalidRequest` on `redirect_uri` if answers cannot arrive there.
    async fn open(&self, prompt: &SignInPrompt) -> Result<Box<dyn SignIn>>;

    /// Prepares a place on this machine where the answer can arrive, for a person who is shown the
    /// address by other means. Of the sign-in, only `answer`, `reject` and `finish` are used.
    ///
    /// # Errors
    /// `InvalidRequest` on `redirect_uri` if answers cannot arrive there;
    /// `Unavailable(UserInterface)` by default.
    async fn listen(&self, prompt: &SignInPrompt) -> Result<Box<dyn SignIn>> {
        let _ = prompt;
        Err(Error::unavailable(Missing::UserInterface, "listen for the answer of the sign-in"))
    }
}

/// What a person is told about a sign-in before it starts.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "plain data")]
pub struct SignInPrompt {
    /// Which program asks.
    pub caller: Caller,
    /// For which app.
    pub client_id: ClientId,
    /// Who will ask for credentials.
    pub authority_host: AuthorityHost,
    /// In which directory.
    pub tenant: Tenant,
    /// For what.
    pub scopes: ScopeSet,
    /// The app's redirect URI, if it named one.
    pub redirect_uri: Option<Url>,
    /// The operation.
    pub correlation_id: CorrelationId,
    /// The caller's side. Where it can open a browser, that is the person's.
    pub caller_ui: Option<Arc<dyn CallerUi>>,
}

/// One sign-in in progress. Dropping it closes the place where answers arrive and tells the person
/// that the sign-in has ended.
#[async_trait]
pub trait SignIn: Send {
    /// Where answers arrive, with the real port.
    fn redirect_uri(&self) -> &Url;

    /// How the answer travels there. By form, unless nothing there can read one: the code then stays
    /// out of the browser's history.
    fn response_mode(&self) -> ResponseMode {
        ResponseMode::FormPost
    }

    /// Lets the person choose among connected accounts.
    ///
    /// # Errors
    /// `Cancelled` if the person gives up.
    async fn choose_account(&mut self, accounts: &[Account]) -> Result<AccountPick>;

    /// Shows the provider's page: a browser that waits on a page of ours is sent there, otherwise
    /// one is opened.
    ///
    /// # Errors
    /// `Unavailable(UserInterface)` if no browser could be started.
    async fn visit(&mut self, url: &Url) -> Result<()>;

    /// Waits for the next request to the redirect URI. The browser is kept waiting until
    /// [`reject`](Self::reject) or [`finish`](Self::finish).
    ///
    /// # Errors
    /// `Cancelled` if it is known that no answer will come.
    async fn answer(&mut self) -> Result<RedirectParameters>;

    /// The last answer was not ours: the browser is told so, and the wait goes on (invariant I9).
    async fn reject(&mut self);

    /// Tells the person how it ended and closes the place where answers arrive.
    async fn finish(self: Box<Self>, outcome: SignInOutcome);
}

/// How a sign-in ended, for the last page.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(clippy::exhaustive_enums, reason = "the last page tells every outcome")]
pub enum SignInOutcome {
    /// Signed in as this user.
    SignedIn {
        /// The user principal name.
        username: String,
    },
    /// It did not work, for this reason (text of the error, no secrets).
    Failed {
        /// What went wrong and what to do.
        reason: String,
    },
}
