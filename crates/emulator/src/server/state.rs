//! The state of the emulator, shared by all connections.
//!
//! Each changing part has its own lock. Handlers are not async, so no lock is held across an await.
//! A handler that needs two locks takes them in the order of the fields.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ready::ReadyPorts;
use crate::server::authorize::SignIns;
use crate::server::clock::Clock;
use crate::server::directory::Directory;
use crate::server::error::Error;
use crate::server::faults::Faults;
use crate::server::fixture::{BlobAccount, Fixture, Lifetimes};
use crate::server::host_names::HostNames;
use crate::server::keys::Keys;
use crate::server::policies::{Access, Policies};
use crate::server::pop::Nonces;
use crate::server::requests::RequestLog;
use crate::server::token::{Codes, DeviceCodes, RefreshTokens};

pub(crate) struct EmulatorState {
    pub(crate) directory: Directory,
    pub(crate) keys: Keys,
    pub(crate) clock: Clock,
    pub(crate) lifetimes: Lifetimes,
    /// The names of the endpoints.
    pub(crate) host_names: HostNames,
    /// The ports of the endpoints.
    pub(crate) ports: ReadyPorts,
    /// `https://localhost:P`.
    pub(crate) authority_host: String,
    /// `https://localhost:P2/devstoreaccount1`.
    pub(crate) blob_endpoint: String,
    /// The tenant whose tokens the storage account accepts.
    pub(crate) blob_tenant: Option<String>,
    /// The user who is signed in at once, without pages.
    pub(crate) auto_sign_in: Option<String>,
    sign_ins: Mutex<SignIns>,
    codes: Mutex<Codes>,
    device_codes: Mutex<DeviceCodes>,
    refresh_tokens: Mutex<RefreshTokens>,
    policies: Mutex<Policies>,
    faults: Mutex<Faults>,
    /// The containers' names and times of creation.
    containers: Mutex<BTreeMap<String, i64>>,
    requests: Mutex<RequestLog>,
    nonces: Mutex<Nonces>,
}

impl EmulatorState {
    /// The state of `fixture`, served on these two ports.
    pub(crate) fn new(
        fixture: Fixture,
        host_names: HostNames,
        ports: ReadyPorts,
    ) -> Result<Self, Error> {
        let clock = Clock::default();
        let created = clock.now();
        let blob = fixture.blob.clone();
        let containers = blob.iter().flat_map(|blob| &blob.containers);
        Ok(Self {
            directory: Directory::new(&fixture),
            keys: Keys::generate()?,
            lifetimes: fixture.lifetimes.unwrap_or_default(),
            authority_host: host_names.authority_host(ports.authority),
            blob_endpoint: host_names.blob_endpoint(ports.blob),
            host_names,
            ports,
            auto_sign_in: None,
            containers: Mutex::new(containers.map(|name| (name.clone(), created)).collect()),
            blob_tenant: blob.map(|BlobAccount { tenant, .. }| tenant),
            policies: Mutex::new(Policies(fixture.policies)),
            faults: Mutex::new(Faults(fixture.faults)),
            clock,
            sign_ins: Mutex::default(),
            codes: Mutex::default(),
            device_codes: Mutex::default(),
            refresh_tokens: Mutex::default(),
            requests: Mutex::default(),
            nonces: Mutex::default(),
        })
    }

    pub(crate) fn sign_ins(&self) -> MutexGuard<'_, SignIns> {
        lock(&self.sign_ins)
    }

    pub(crate) fn codes(&self) -> MutexGuard<'_, Codes> {
        lock(&self.codes)
    }

    pub(crate) fn device_codes(&self) -> MutexGuard<'_, DeviceCodes> {
        lock(&self.device_codes)
    }

    pub(crate) fn refresh_tokens(&self) -> MutexGuard<'_, RefreshTokens> {
        lock(&self.refresh_tokens)
    }

    pub(crate) fn policies(&self) -> MutexGuard<'_, Policies> {
        lock(&self.policies)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    pub(crate) fn containers(&self) -> MutexGuard<'_, BTreeMap<String, i64>> {
        lock(&self.containers)
    }

    pub(crate) fn requests(&self) -> MutexGuard<'_, RequestLog> {
        lock(&self.requests)
    }

    pub(crate) fn nonces(&self) -> MutexGuard<'_, Nonces> {
        lock(&self.nonces)
    }

    /// Whether this app gets tokens of this user for this resource only after the extra approval.
    pub(crate) fn requires_mfa(&self, audience: &str, client_id: &str, upn: &str) -> bool {
        let Some(resource) = self.directory.resource(audience) else {
            return false;
        };
        self.policies().requires_mfa(&Access { resource, client_id, upn })
    }

    /// Ends this user's browser sessions and refresh tokens.
    pub(crate) fn revoke(&self, upn: &str) {
        self.sign_ins().forget(upn);
        self.refresh_tokens().revoke_user(upn);
    }
}

/// Locks, also after a handler has panicked: each change is one step, so the data are consistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
