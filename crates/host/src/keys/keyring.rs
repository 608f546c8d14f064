//! The desktop's keyring: the few calls of the Secret Service interface that one key needs
//! (<https://specifications.freedesktop.org/secret-service-spec/>).
//!
//! Nothing here calls `Unlock` or completes a `Prompt`, so the person is never asked for a password.
//! The session is `plain`: the bus is a local socket, and a process that can read it could ask the
//! keyring itself.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use keybearer_core::{Error, MasterKey, Missing, Result};
use keybearer_engine::Random;
use serde::{Deserialize, Serialize};
use zbus::{
    Connection, ObjectPath, OwnedObjectPath, OwnedVariant, Proxy, Type, Variant, connection,
};
use zeroize::{Zeroize, Zeroizing};

use super::{KeyPlace, KeyPlaceKind, NewKey, parse, random_key};
use crate::private_dir::PrivateDir;
use crate::random::random_hex;

const SERVICE: &str = "org.freedesktop.secrets";
const ROOT: &str = "/org/freedesktop/secrets";
/// A service that takes longer counts as absent.
const DEADLINE: Duration = Duration::from_secs(1);

/// Available where there is a session bus: the one of the environment, which need not be the
/// process's own.
#[cfg(not(target_os = "macos"))]
pub(super) static KIND: KeyPlaceKind = KeyPlaceKind {
    name: "keyring",
    description: "in the desktop's keyring",
    advice: None,
    file: None,
    open: |context| Some(Box::new(Keyring::at(context.environment.session_bus_address()?))),
};

/// The Secret Service of a bus.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    address: Option<String>,
}

impl Keyring {
    /// The service on this process's session bus.
    #[must_use]
    pub const fn of_session() -> Self {
        Self { address: None }
    }

    /// The service on the bus at this D-Bus address.
    #[must_use]
    pub const fn at(address: String) -> Self {
        Self { address: Some(address) }
    }

    async fn within_deadline<T>(
        &self,
        action: &str,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T> {
        let problem = |reason: &str| {
            Error::unavailable(Missing::Key, format!("could not {action}: {reason}"))
        };
        match tokio::time::timeout(DEADLINE, work).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(Refusal::Locked)) => {
                Err(problem("the keyring is locked").with_hint("unlock the desktop's keyring"))
            }
            Ok(Err(Refusal::NoCollection)) => Err(problem("there is no default keyring")
                .with_hint("make a default keyring in the desktop's password program")),
            Ok(Err(Refusal::Bus(error))) => Err(problem("no keyring answers")
                .with_source(*error)
                .with_hint("start the desktop's keyring (Secret Service)")),
            Err(_) => Err(problem("the keyring does not answer")
                .with_hint("restart the desktop's keyring (Secret Service)")),
        }
    }

    async fn session(&self) -> Result<Session, Refusal> {
        let builder = match &self.address {
            Some(address) => connection::Builder::address(address.as_str()),
            None => connection::Builder::session(),
        };
        let connection = builder.build().await?;
        let service = service(&connection, ROOT, "Service").await?;
        let (_, session): (OwnedVariant, OwnedObjectPath) =
            service.call("OpenSession", &("plain", Variant::from(""))).await?;
        Ok(Session { connection, service, path: session })
    }
}

#[async_trait]
impl KeyPlace for Keyring {
    fn kind(&self) -> &'static KeyPlaceKind {
        &KIND
    }

    async fn read(&self, _dir: &PrivateDir, id: &str) -> Result<Option<MasterKey>> {
        let work = async { self.session().await?.read(id).await };
        self.within_deadline("read the key of the token store", work).await
    }

    async fn create(&self, _dir: &PrivateDir, random: &dyn Random) -> Result<NewKey> {
        let (reference, key) = (random_hex(random, 16), random_key(random));
        let work = async { self.session().await?.store(&reference, &key).await };
        self.within_deadline("keep the key of the token store", work).await?;
        Ok(NewKey { key, reference })
    }

    async fn contains(&self, _dir: &PrivateDir, id: &str) -> Result<bool> {
        let work = async {
            let (unlocked, locked) = self.session().await?.search(id).await?;
            Ok(!unlocked.is_empty() || !locked.is_empty())
        };
        self.within_deadline("look for the key of the token store", work).await
    }
}

/// Why the keyring refused or failed.
enum Refusal {
    Locked,
    NoCollection,
    Bus(Box<zbus::Error>),
}

impl From<zbus::Error> for Refusal {
    fn from(error: zbus::Error) -> Self {
        let locked = "org.freedesktop.Secret.Error.IsLocked";
        match &error {
            zbus::Error::MethodError(name, ..) if name.as_str() == locked => Self::Locked,
            _ => Self::Bus(Box::new(error)),
        }
    }
}

struct Session {
    connection: Connection,
    service: Proxy<'static>,
    path: OwnedObjectPath,
}

/// `(oayays)`: session, parameters, value, content type.
#[derive(Serialize, Deserialize, Type)]
struct Secret {
    session: OwnedObjectPath,
    parameters: Vec<u8>,
    value: Vec<u8>,
    content_type: String,
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.value.zeroize();
    }
}

impl Session {
    /// The unlocked and the locked items for this id.
    async fn search(
        &self,
        id: &str,
    ) -> Result<(Vec<OwnedObjectPath>, Vec<OwnedObjectPath>), Refusal> {
        Ok(self.service.call("SearchItems", &(attributes(id),)).await?)
    }

    async fn read(&self, id: &str) -> Result<Option<MasterKey>, Refusal> {
        let (unlocked, locked) = self.search(id).await?;
        let Some(item) = unlocked.first() else {
            return if locked.is_empty() { Ok(None) } else { Err(Refusal::Locked) };
        };
        let item = service(&self.connection, item.as_str(), "Item").await?;
        let secret: Secret = item.call("GetSecret", &(&self.path,)).await?;
        Ok(parse(&secret.value))
    }

    async fn store(&self, id: &str, key: &MasterKey) -> Result<(), Refusal> {
        let default: OwnedObjectPath = self.service.call("ReadAlias", &("default",)).await?;
        if default.as_str() == "/" {
            return Err(Refusal::NoCollection);
        }
        let collection = service(&self.connection, default.as_str(), "Collection").await?;
        if collection.get_property("Locked").await? {
            return Err(Refusal::Locked);
        }
        let properties = HashMap::from([
            (
                "org.freedesktop.Secret.Item.Label",
                Variant::from("Key of the Keybearer token store"),
            ),
            ("org.freedesktop.Secret.Item.Attributes", Variant::from(attributes(id))),
        ]);
        let secret = Secret {
            session: self.path.clone(),
            parameters: Vec::new(),
            value: key.expose().to_vec(),
            content_type: "application/octet-stream".to_owned(),
        };
        let (_, prompt): (OwnedObjectPath, OwnedObjectPath) =
            collection.call("CreateItem", &(properties, &secret, false)).await?;
        if prompt.as_str() != "/" {
            return Err(Refusal::Locked);
        }
        // Some services accept a secret and lose it; such a keyring cannot be used.
        let kept = self.read(id).await?.map(|kept| Zeroizing::new(*kept.expose()));
        if kept.is_some_and(|kept| *kept == *key.expose()) {
            Ok(())
        } else {
            Err(Refusal::NoCollection)
        }
    }
}

fn attributes(id: &str) -> HashMap<&'static str, String> {
    HashMap::from([("service", "keybearer".to_owned()), ("store", id.to_owned())])
}

async fn service(
    connection: &Connection,
    path: &str,
    interface: &str,
) -> zbus::Result<Proxy<'static>> {
    let path = ObjectPath::try_from(path.to_owned())?;
    let interface = format!("org.freedesktop.Secret.{interface}");
    zbus::proxy::Builder::new(connection)
        .destination(SERVICE)
        .path(path)
        .interface(interface)
        .cache_properties(zbus::proxy::CacheProperties::No)
        .build()
        .await
}
