//! Accounts: the user as others see them, beside the password hash that never leaves this service.
//!
//! A document's id is the sign-in name, so two people can never have one name.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context as _;
use common::messages::user::{Role, User, UserEvent};
use common::names::Slug;
use common::{Envelope, Message as _, MessageId, Timestamp, Topic, UserId};
use runtime::{Applied, Bus, BusError, Change, Entities, Entity, Record};
use serde::{Deserialize, Serialize};

use super::{ApiToken, Buckets, Passwords, Session, sha256_hex};
use crate::api::ApiError;

/// Sign-in name of the account that is made when there is none.
pub(crate) const FIRST_ADMIN: &str = "admin";

/// A user with what proves it is them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Account {
    /// What others see.
    pub(crate) user: User,
    /// PHC string.
    pub(crate) password_hash: String,
    /// Whether the password is a one-time password.
    pub(crate) must_change: bool,
}

impl Entity for Account {
    const COLLECTION: &'static str = "application_manager_users";
}

/// What a new account begins with.
#[derive(Debug, Clone)]
pub(crate) struct NewAccount {
    /// Sign-in name.
    pub(crate) name: Slug,
    /// What others see.
    pub(crate) title: String,
    /// What the person may do.
    pub(crate) roles: Vec<Role>,
    /// Where notifications are mailed.
    pub(crate) email: Option<String>,
    /// Where notifications are posted.
    pub(crate) webhook: Option<String>,
    /// One-time password.
    pub(crate) password: String,
}

/// Accounts, sessions, tokens.
#[derive(Debug)]
pub(crate) struct Accounts {
    /// Accounts by name.
    pub(crate) accounts: Entities<Account>,
    /// Sessions by the hash of their secret.
    pub(crate) sessions: Entities<Session>,
    /// API tokens by the hash of their secret.
    pub(crate) tokens: Entities<ApiToken>,
    /// The hasher.
    pub(crate) passwords: Passwords,
    /// SHA-256 of the token with which programs of this host's admin act as the first admin.
    host_token: Option<String>,
    bus: Bus,
    by_address: Mutex<Buckets>,
    by_account: Mutex<Buckets>,
    started: Instant,
}

impl Accounts {
    /// Works on entities that are swept elsewhere.
    pub(crate) fn new(
        accounts: Entities<Account>,
        sessions: Entities<Session>,
        tokens: Entities<ApiToken>,
        bus: Bus,
        passwords: Passwords,
    ) -> Self {
        Self {
            accounts,
            sessions,
            tokens,
            passwords,
            host_token: None,
            bus,
            by_address: Mutex::new(Buckets::new(30, 2.0)),
            by_account: Mutex::new(Buckets::new(10, 6.0)),
            started: Instant::now(),
        }
    }

    /// Knows the token of this host: whoever can read that file is root here and has the platform's secrets anyway.
    pub(crate) fn with_host_token(mut self, token: Option<&str>) -> Self {
        self.host_token = token.map(sha256_hex);
        self
    }

    /// Whether this is the token of this host.
    pub(crate) fn is_host_token(&self, token: &str) -> bool {
        self.host_token.as_deref() == Some(sha256_hex(token).as_str())
    }

    /// Works on a store, for tests.
    #[cfg(test)]
    pub(crate) fn on(documents: &std::sync::Arc<dyn runtime::store::Documents>, bus: &Bus) -> Self {
        Self::new(
            Entities::new(documents.clone(), bus.clone()),
            Entities::new(documents.clone(), bus.clone()),
            Entities::new(documents.clone(), bus.clone()),
            bus.clone(),
            Passwords::cheap(),
        )
    }

    /// Takes a try to sign in from both buckets.
    ///
    /// # Errors
    /// When there were too many.
    pub(crate) fn take_try(&self, address: &str, name: &str) -> Result<(), ApiError> {
        let now = self.now_ms();
        for (buckets, key) in [(&self.by_address, address), (&self.by_account, name)] {
            lock(buckets).take(key, now).map_err(ApiError::too_many)?;
        }
        Ok(())
    }

    /// Gives the try back after a success.
    pub(crate) fn give_back(&self, address: &str, name: &str) {
        let now = self.now_ms();
        lock(&self.by_address).give_back(address, now);
        lock(&self.by_account).give_back(name, now);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Makes the first admin when there is no account at all. Returns whether it did.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn ensure_first_admin(&self, password: &str) -> anyhow::Result<bool> {
        if !self.accounts.list(&[]).await?.is_empty() {
            return Ok(false);
        }
        let new = NewAccount {
            name: FIRST_ADMIN.parse().context("the first admin's name")?,
            title: "Administrator".to_owned(),
            roles: vec![Role::Admin],
            email: None,
            webhook: None,
            password: password.to_owned(),
        };
        match self.create(UserId::new(), new).await {
            Ok(_) => Ok(true),
            // Another copy of this service was faster.
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(anyhow::anyhow!("could not make the first admin: {error}")),
        }
    }

    /// Makes an account with a one-time password. The same id again is the same account.
    ///
    /// # Errors
    /// When the name is taken.
    pub(crate) async fn create(&self, id: UserId, new: NewAccount) -> Result<User, ApiError> {
        let password_hash = self.passwords.hash(new.password.clone()).await?;
        let now = Timestamp::now();
        let name = new.name.to_string();
        let applied = self
            .accounts
            .apply(&name, None, |current, version| {
                match current {
                    Some(account) if account.user.id == id => return Ok(Change::Keep),
                    Some(_) => return Err(ApiError::conflict(format!("there is a user `{}` already", new.name))),
                    None => {}
                }
                let user = User {
                    id,
                    name: new.name.to_string(),
                    title: new.title.clone(),
                    roles: new.roles.clone(),
                    email: new.email.clone(),
                    webhook: new.webhook.clone(),
                    disabled: false,
                    created: now,
                    version,
                };
                Ok(Change::Put {
                    records: vec![self.changed(&user, now)?],
                    entity: Account {
                        user,
                        password_hash: password_hash.clone(),
                        must_change: true,
                    },
                })
            })
            .await?;
        account_of(applied).map(|account| account.user)
    }

    /// Changes an account. The closure may refuse.
    ///
    /// # Errors
    /// When there is no such account or the closure refuses.
    pub(crate) async fn change(
        &self,
        name: &str,
        mut change: impl FnMut(&mut Account) -> Result<(), ApiError> + Send,
    ) -> Result<User, ApiError> {
        let now = Timestamp::now();
        let applied = self
            .accounts
            .apply(name, None, |current, version| {
                let mut account = current.cloned().ok_or_else(|| ApiError::not_found("user"))?;
                change(&mut account)?;
                account.user.version = version;
                Ok::<_, ApiError>(Change::Put {
                    records: vec![self.changed(&account.user, now)?],
                    entity: account,
                })
            })
            .await?;
        account_of(applied).map(|account| account.user)
    }

    /// Deletes an account with its sessions and tokens. Returns whose it was.
    ///
    /// # Errors
    /// When there is no such account.
    pub(crate) async fn delete(&self, name: &str) -> Result<UserId, ApiError> {
        let Some(stored) = self.accounts.get(name).await? else {
            return Err(ApiError::not_found("user"));
        };
        let id = stored.entity.user.id;
        self.accounts
            .apply(name, None, |current, _| {
                let deleted = UserEvent::Deleted { id };
                let key = deleted.key();
                let record = Record::of(&Envelope::first(
                    MessageId::derive(&["user-deleted", &key]),
                    self.bus.source(),
                    Timestamp::now(),
                    deleted,
                ))?;
                Ok::<_, ApiError>(match current {
                    Some(account) if account.user.id == id => Change::Delete {
                        records: vec![record, Record::tombstone(Topic::UserEvents, key)],
                    },
                    _ => Change::Keep,
                })
            })
            .await?;
        self.end_sessions(id, None).await?;
        for token in self.tokens.list(&[("user", &id.to_string())]).await? {
            self.end_token(&token.id).await?;
        }
        Ok(id)
    }

    /// Ends the sessions of a user, but for one.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn end_sessions(&self, user: UserId, but: Option<&str>) -> Result<(), ApiError> {
        for session in self.sessions.list(&[("user", &user.to_string())]).await? {
            if Some(session.id.as_str()) != but {
                self.end_session(&session.id).await?;
            }
        }
        Ok(())
    }

    /// Ends a session.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn end_session(&self, id: &str) -> Result<(), ApiError> {
        self.sessions
            .apply(id, None, |_, _| {
                Ok::<_, ApiError>(Change::Delete { records: Vec::new() })
            })
            .await?;
        Ok(())
    }

    /// Ends an API token.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn end_token(&self, id: &str) -> Result<(), ApiError> {
        self.tokens
            .apply(id, None, |_, _| {
                Ok::<_, ApiError>(Change::Delete { records: Vec::new() })
            })
            .await?;
        Ok(())
    }

    /// Begins a session and returns its secret.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn begin_session(&self, account: &Account, now: Timestamp) -> Result<String, ApiError> {
        let secret = super::new_secret();
        let session = Session {
            account: account.user.name.clone(),
            user: account.user.id,
            created: now,
            used: now,
        };
        self.sessions
            .apply(&sha256_hex(&secret), None, |_, _| {
                Ok::<_, ApiError>(Change::Put {
                    entity: session.clone(),
                    records: Vec::new(),
                })
            })
            .await?;
        Ok(secret)
    }

    /// Forgets sessions and tokens that ended.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn forget_ended(&self, now: Timestamp) -> Result<(), ApiError> {
        for session in self.sessions.list(&[]).await? {
            if !session.entity.alive(now) {
                self.end_session(&session.id).await?;
            }
        }
        for token in self.tokens.list(&[]).await? {
            if !token.entity.alive(now) {
                self.end_token(&token.id).await?;
            }
        }
        Ok(())
    }

    fn changed(&self, user: &User, now: Timestamp) -> Result<Record, BusError> {
        let id = MessageId::derive(&["user-changed", &user.id.to_string(), &user.version.to_string()]);
        let event = UserEvent::Changed {
            user: Box::new(user.clone()),
        };
        Record::of(&Envelope::first(id, self.bus.source(), now, event))
    }
}

fn account_of(applied: Applied<Account>) -> Result<Account, ApiError> {
    match applied {
        Applied::Changed(stored) | Applied::Kept(Some(stored)) | Applied::Duplicate(Some(stored)) => Ok(stored.entity),
        _ => Err(ApiError::not_found("user")),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::memory::MemoryBus;
    use runtime::store::{Documents, MemoryDocuments};
    use std::sync::Arc;

    #[tokio::test]
    async fn the_first_admin_is_made_once_and_published_without_hash() {
        let (memory, bus) = MemoryBus::bus("application-manager");
        let documents: Arc<dyn Documents> = Arc::new(MemoryDocuments::default());
        let accounts = Accounts::on(&documents, &bus);
        assert!(accounts.ensure_first_admin("one-time-password").await.unwrap());
        assert!(!accounts.ensure_first_admin("one-time-password").await.unwrap());
        let stored = accounts.accounts.get(FIRST_ADMIN).await.unwrap().unwrap().entity;
        assert!(stored.must_change);
        let events = memory.messages::<UserEvent>();
        assert_eq!(
            events,
            [UserEvent::Changed {
                user: Box::new(stored.user)
            }]
        );
        assert!(
            !memory
                .records()
                .iter()
                .any(|record| record.payload.as_ref().is_some_and(|text| text.contains("argon2")))
        );
    }
}
