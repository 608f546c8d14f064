//! Everything outside the engine that it uses, as object-safe traits. `keybearer-host` implements
//! them for a real machine, the tests in memory with simulated time.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use keybearer_core::{
    Account, AccountPick, AuthorityHost, Caller, CallerUi, ClientId, CorrelationId, Error,
    MasterKey, Missing, Result, ScopeSet, Tenant, Timestamp,
};
use keybearer_protocol::authorize::ResponseMode;
use keybearer_protocol::{Body, RedirectParameters};
use url::Url;

/// All effects, in one cloneable value.
#[derive(Clone, Debug)]
pub struct Effects {
    /// HTTP exchanges.
    pub http: Arc<dyn Http>,
    /// The clock and timers.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Where sealed records are kept.
    pub store: Arc<dyn TokenStore>,
    /// Where the key that seals them is kept.
    pub keys: Arc<dyn KeyStore>,
    /// The pages of a sign-in.
    pub sign_in_ui: Arc<dyn SignInUi>,
    /// Runs work that must end even if its caller is gone.
    pub spawner: Arc<dyn Spawner>,
}

/// One HTTP exchange over TLS. Redirects are not followed.
#[async_trait]
pub trait Http: Send + Sync + fmt::Debug {
    /// Sends a request and reads the whole response, whatever its status.
    ///
    /// # Errors
    /// `Unavailable(Network)` if the server cannot be reached or its certificate is not trusted
    /// (with the variable to set as hint); `Transient` if the connection broke within the response.
    async fn send(&self, request: http::Request<Body>) -> Result<http::Response<Body>>;
}

/// A wall clock and a timer.
#[async_trait]
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time of the wall clock, which may be wrong and may jump.
    fn now(&self) -> Timestamp;

    /// The time since a fixed moment. It never goes back, whatever happens to the wall clock, and
    /// it includes the time that the machine sleeps (`CLOCK_BOOTTIME`). The default uses the wall
    /// clock; a token may then be served after its end if that clock is set back.
    fn uptime(&self) -> Duration {
        let millis = self.now().unix_millis();
        Duration::from_millis(u64::try_from(millis).unwrap_or_default())
    }

    /// The monotonic clock that [`sleep`](Self::sleep) waits by, for deadlines.
    fn instant(&self) -> Instant;

    /// Waits by a monotonic clock.
    async fn sleep(&self, duration: Duration);
}

/// The same moment by both clocks of a [`Clock`].
#[derive(Clone, Copy, Debug)]
pub struct ClockReading {
    /// The wall clock.
    pub now: Timestamp,
    /// The time since a fixed moment.
    pub uptime: Duration,
}

impl ClockReading {
    /// Reads both clocks.
    #[must_use]
    pub fn of(clock: &(impl Clock + ?Sized)) -> Self {
        Self { now: clock.now(), uptime: clock.uptime() }
    }
}

/// A cryptographically secure source of random bytes.
pub trait Random: Send + Sync + fmt::Debug {
    /// Fills the buffer with random bytes.
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

/// Runs a future to its end, independently of the caller that started it.
pub trait Spawner: Send + Sync + fmt::Debug {
    /// Starts the future.
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>);
}

/// Durable records. The engine seals them first, so their content is opaque to the store.
#[async_trait]
pub trait TokenStore: Send + Sync + fmt::Debug {
    /// A page of records in the order of their keys: those that follow `after`, or the first ones.
    /// An empty page means that there are no more. Pages keep a large store from being in memory
    /// twice.
    ///
    /// # Errors
    /// `Internal` if the store cannot be opened or belongs to another user; the hint names the path
    /// and the remedy.
    async fn load(&self, after: Option<&RecordKey>) -> Result<Vec<Record>>;

    /// The record with this key, if there is one.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    async fn read(&self, key: &RecordKey) -> Result<Option<Record>>;

    /// Applies all changes or none. Returns once they would survive a power cut (invariant I3).
    ///
    /// # Errors
    /// `Internal` if they could not be written; the store is then unchanged.
    async fn commit(&self, changes: Vec<Change>) -> Result<()>;
}

/// A sealed value under a key that is not secret.
#[derive(Clone, Debug)]
pub struct Record {
    /// What the record contains, and of which account.
    pub key: RecordKey,
    /// Its content, sealed (invariant I4).
    pub value: SealedRecord,
}

/// The name of a record, such as `account/login.windows.net/uid.utid`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RecordKey(pub String);

/// Sealed bytes. They are useless without the master key, so they may be printed, copied and
/// stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedRecord(pub Vec<u8>);

/// One step of a commit.
#[derive(Clone, Debug)]
pub enum Change {
    /// Adds or replaces a record.
    Put(Record),
    /// Removes the record with this key, if there is one.
    Delete(RecordKey),
}

/// Keeps the key that seals the store.
#[async_trait]
pub trait KeyStore: Send + Sync + fmt::Debug {
    /// The master key, created on first use.
    ///
    /// # Errors
    /// `Unavailable(Key)` if it exists but cannot be read now (a locked keyring). It is not
    /// overwritten then.
    async fn master_key(&self) -> Result<MasterKey>;
}

/// Shows the pages of a sign-in to the person.
#[async_trait]
pub trait SignInUi: Send + Sync + fmt::Debug {
    /// Starts to listen at the redirect URI, before any page is shown (invariant I9).
    ///
    /// # Errors
    /// `Unavailable(UserInterface)` if no page can be shown from here, with the alternative as
    /// hint; `InvalidRequest` on `redirect_uri` if nothing can listen there.
    async fn open(&self, prompt: &SignInPrompt) -> Result<Box<dyn SignIn>>;

    /// Starts to listen at the redirect URI on this machine, for a sign-in whose address is shown
    /// by other means. The engine then calls only `redirect_uri`, `answer`, `reject` and `finish`.
    ///
    /// # Errors
    /// `InvalidRequest` on `redirect_uri` if nothing can listen there;
    /// `Unavailable(UserInterface)` by default.
    async fn listen(&self, prompt: &SignInPrompt) -> Result<Box<dyn SignIn>> {
        let _ = prompt;
        let message = "could not listen for the answer of the sign-in: there is no listener";
        Err(Error::unavailable(Missing::UserInterface, message))
    }
}

/// What a person is shown about a sign-in before it starts.
#[derive(Clone, Debug)]
pub struct SignInPrompt {
    /// The program that asks for the token.
    pub caller: Caller,
    /// The app that the token is for.
    pub client_id: ClientId,
    /// The provider that will ask for credentials.
    pub authority_host: AuthorityHost,
    /// The directory to sign in to.
    pub tenant: Tenant,
    /// What the token may be used for.
    pub scopes: ScopeSet,
    /// The app's redirect URI, if it named one.
    pub redirect_uri: Option<Url>,
    /// The id of the request.
    pub correlation_id: CorrelationId,
    /// The caller's user interface. If it can open a browser, that is the one the person uses.
    pub caller_ui: Option<Arc<dyn CallerUi>>,
}

/// One sign-in in progress. Dropping it stops listening and shows the person that the sign-in has
/// ended.
#[async_trait]
pub trait SignIn: Send {
    /// The redirect URI, with the port that is listened at.
    fn redirect_uri(&self) -> &Url;

    /// How the browser sends the answer to the redirect URI. A form post keeps the code out of the
    /// browser's history, and is used unless the answer has to be in the address.
    fn response_mode(&self) -> ResponseMode {
        ResponseMode::FormPost
    }

    /// Lets the person choose among connected accounts.
    ///
    /// # Errors
    /// `Cancelled` if the person gives up.
    async fn choose_account(&mut self, accounts: &[Account]) -> Result<AccountPick>;

    /// Shows the provider's page: redirects the browser that shows a page of the broker, or opens
    /// one.
    ///
    /// # Errors
    /// `Unavailable(UserInterface)` if no browser could be started.
    async fn visit(&mut self, url: &Url) -> Result<()>;

    /// Waits for the next request to the redirect URI. The browser gets its response from
    /// [`reject`](Self::reject) or [`finish`](Self::finish).
    ///
    /// # Errors
    /// `Cancelled` if no answer can come any more.
    async fn answer(&mut self) -> Result<RedirectParameters>;

    /// Rejects the last answer, which belongs to another sign-in: the browser shows so, and the
    /// next [`answer`](Self::answer) is awaited (invariant I9).
    async fn reject(&mut self);

    /// Shows the person how the sign-in ended, and stops listening.
    async fn finish(self: Box<Self>, outcome: SignInOutcome);
}

/// How a sign-in ended, for the last page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SignInOutcome {
    /// The person has signed in.
    SignedIn {
        /// The user principal name.
        username: String,
    },
    /// The sign-in failed.
    Failed {
        /// The text of the error with its hint, without secrets.
        reason: String,
    },
}
