//! Keys of pages: who may see which instance's pages under which address.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Origin;
use common::settings::Settings;
use common::{InstanceId, Timestamp, UserId};
use rand::RngExt as _;
use runtime::{Applied, ApplyError, Change, Entities, Entity, StoreError};
use serde::{Deserialize, Serialize};

/// Characters of a key: 128 bits in hex.
pub(super) const LENGTH: usize = 32;
/// How long a looked-up key is believed; a revoked one of a running instance (its user was removed) ends after that.
const BELIEVED: Duration = Duration::from_secs(10);
/// Keys that are remembered; beyond that everything is forgotten and looked up again.
const REMEMBERED: usize = 10_000;

/// A key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageKey {
    /// The key itself, hex.
    key: String,
    /// Whose.
    pub user: UserId,
    /// Of which instance.
    pub instance: InstanceId,
    /// When it was made; absent in keys of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<Timestamp>,
}

impl std::fmt::Debug for PageKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PageKey")
            .field("user", &self.user)
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}

impl Entity for PageKey {
    const COLLECTION: &'static str = "application_manager_page_keys";
    const INDEXES: &'static [&'static str] = &["key", "instance", "user"];
    fn index(&self) -> Vec<(&'static str, String)> {
        vec![
            ("key", self.key.clone()),
            ("instance", self.instance.to_string()),
            ("user", self.user.to_string()),
        ]
    }
}

type Remembered = Arc<Mutex<HashMap<String, (Option<PageKey>, Instant)>>>;

/// The keys of an installation. They lie in the store: any process serves them, also after a restart.
#[derive(Clone)]
pub struct PageKeys {
    keys: Entities<PageKey>,
    origin: Origin,
    remembered: Remembered,
}

impl std::fmt::Debug for PageKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PageKeys")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl PageKeys {
    /// Works on the store; addresses are of the installation's origin of pages.
    #[must_use]
    pub fn new(keys: Entities<PageKey>, settings: &Settings) -> Self {
        Self::at(keys, Origin::of(settings))
    }

    pub(super) fn at(keys: Entities<PageKey>, origin: Origin) -> Self {
        Self {
            keys,
            origin,
            remembered: Remembered::default(),
        }
    }

    /// Returns the address of an instance's pages for a user, on the host by whose name the user came; the key is the same each time.
    ///
    /// The caller has checked that the user may see the instance, that it has pages, and that it has not ended.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn address_for(
        &self,
        user: UserId,
        instance: InstanceId,
        host: Option<&str>,
    ) -> Result<String, StoreError> {
        let fresh = hex::encode(rand::rng().random::<[u8; LENGTH / 2]>());
        let make = |current: Option<&PageKey>, _| {
            Ok::<_, std::convert::Infallible>(match current {
                Some(_) => Change::Keep,
                None => Change::Put {
                    entity: PageKey {
                        key: fresh.clone(),
                        user,
                        instance,
                        created: Some(Timestamp::now()),
                    },
                    records: Vec::new(),
                },
            })
        };
        let applied = self.keys.apply(&id(user, instance), None, make).await.map_err(store)?;
        let key = match applied {
            Applied::Changed(stored) | Applied::Kept(Some(stored)) | Applied::Duplicate(Some(stored)) => {
                stored.entity.key
            }
            Applied::Deleted | Applied::Kept(None) | Applied::Duplicate(None) => fresh,
        };
        self.remembered().remove(&key);
        let (scheme, host, port) = (self.origin.scheme, host.unwrap_or(&self.origin.host), self.origin.port);
        Ok(format!("{scheme}://{host}:{port}/{key}/"))
    }

    /// Looks a key up.
    pub(super) async fn find(&self, key: &str) -> Result<Option<PageKey>, StoreError> {
        let remembered = self
            .remembered()
            .get(key)
            .filter(|(_, at)| at.elapsed() < BELIEVED)
            .cloned();
        if let Some((found, _)) = remembered {
            return Ok(found);
        }
        let found = self
            .keys
            .list(&[("key", key)])
            .await?
            .into_iter()
            .next()
            .map(|stored| stored.entity);
        let mut remembered = self.remembered();
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(key.to_owned(), (found.clone(), Instant::now()));
        Ok(found)
    }

    /// Revokes the keys of an instance that ended.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn revoke_instance(&self, instance: InstanceId) -> Result<(), StoreError> {
        self.revoke(&[("instance", &instance.to_string())]).await
    }

    /// Revokes the keys of a user who was removed or disabled.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn revoke_user(&self, user: UserId) -> Result<(), StoreError> {
        self.revoke(&[("user", &user.to_string())]).await
    }

    /// Revokes the keys of every instance that does not live any more: what ended while no process watched.
    pub(super) async fn revoke_others(
        &self,
        before: Timestamp,
        lives: impl Fn(InstanceId) -> bool,
    ) -> Result<(), StoreError> {
        for stored in self.keys.list(&[]).await? {
            let older = stored.entity.created.is_none_or(|created| created < before);
            if older && !lives(stored.entity.instance) {
                self.delete(&stored.id, &stored.entity.key).await?;
            }
        }
        Ok(())
    }

    async fn revoke(&self, filter: &[(&str, &str)]) -> Result<(), StoreError> {
        for stored in self.keys.list(filter).await? {
            self.delete(&stored.id, &stored.entity.key).await?;
        }
        Ok(())
    }

    async fn delete(&self, id: &str, key: &str) -> Result<(), StoreError> {
        let gone = |_: Option<&PageKey>, _| Ok::<_, std::convert::Infallible>(Change::Delete { records: Vec::new() });
        self.keys.apply(id, None, gone).await.map_err(store)?;
        self.remembered().remove(key);
        Ok(())
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Option<PageKey>, Instant)>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn id(user: UserId, instance: InstanceId) -> String {
    format!("{user}/{instance}")
}

fn store(error: ApplyError<std::convert::Infallible>) -> StoreError {
    match error {
        ApplyError::Store(error) => error,
        ApplyError::Refused(never) => match never {},
    }
}
