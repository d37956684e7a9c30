//! Who calls: from the session cookie or an API token, on each request.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, header};
use common::Timestamp;
use common::messages::user::Role;
use runtime::Change;

use super::{Account, FIRST_ADMIN, sha256_hex};
use crate::api::ApiError;
use crate::app::App;
use crate::rights::Actor;

/// Name of the session cookie.
pub(crate) const SESSION_COOKIE: &str = "iot_session";

/// Address of the other end of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl Peer {
    /// Finds it where the server put it.
    pub(crate) fn of(extensions: &Extensions) -> Option<Self> {
        let ConnectInfo(address) = extensions.get()?;
        Some(Self(*address))
    }

    /// Returns the address without port.
    pub(crate) fn address(self) -> String {
        self.0.ip().to_canonical().to_string()
    }

    /// Whether the other end is this host.
    pub(crate) fn is_loopback(self) -> bool {
        self.0.ip().to_canonical().is_loopback()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Self::of(&parts.extensions)
            .ok_or_else(|| ApiError::internal(anyhow::anyhow!("the connection's address is not known")))
    }
}

/// Where the audit learns who a request came from.
#[derive(Debug, Clone, Default)]
pub(crate) struct ActorSlot(pub(crate) Arc<OnceLock<Actor>>);

/// Someone who is signed in, maybe with a one-time password that must be changed first.
#[derive(Debug, Clone)]
pub(crate) struct SignedIn {
    /// Who.
    pub(crate) actor: Actor,
    /// Whether only the password may be changed.
    pub(crate) must_change: bool,
    /// The session's document; none with an API token.
    pub(crate) session: Option<String>,
}

/// Someone who is signed in and may go on.
#[derive(Debug, Clone)]
pub(crate) struct Caller(pub(crate) Actor);

impl Caller {
    /// Refuses whoever does not have the role.
    ///
    /// # Errors
    /// 403 that names the role.
    pub(crate) fn must_be(&self, role: Role) -> Result<(), ApiError> {
        self.must_be_one_of(&[role])
    }

    /// Refuses whoever has none of the roles.
    ///
    /// # Errors
    /// 403 that names the roles.
    pub(crate) fn must_be_one_of(&self, roles: &[Role]) -> Result<(), ApiError> {
        if roles.iter().any(|role| self.0.is(*role)) {
            return Ok(());
        }
        let names: Vec<&str> = roles.iter().map(|role| role_words(*role)).collect();
        Err(ApiError::forbidden(format!(
            "this needs the role {}",
            names.join(" or ")
        )))
    }
}

impl Deref for Caller {
    type Target = Actor;
    fn deref(&self) -> &Actor {
        &self.0
    }
}

fn role_words(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::SensorOwner => "sensor owner",
        Role::Developer => "developer",
        Role::EndUser => "end user",
    }
}

impl FromRequestParts<Arc<App>> for SignedIn {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let peer = Peer::of(&parts.extensions);
        let signed_in = authenticate(app, &parts.headers, peer)
            .await?
            .ok_or_else(ApiError::unauthorized)?;
        if let Some(slot) = parts.extensions.get::<ActorSlot>() {
            slot.0.get_or_init(|| signed_in.actor.clone());
        }
        Ok(signed_in)
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let signed_in = SignedIn::from_request_parts(parts, app).await?;
        if signed_in.must_change {
            return Err(ApiError::password_change_required());
        }
        Ok(Self(signed_in.actor))
    }
}

async fn authenticate(app: &App, headers: &HeaderMap, peer: Option<Peer>) -> Result<Option<SignedIn>, ApiError> {
    if let Some(token) = bearer(headers) {
        if app.accounts.is_host_token(token) && peer.is_some_and(Peer::is_loopback) {
            return first_admin(app).await;
        }
        return by_token(app, token).await;
    }
    match cookie(headers, SESSION_COOKIE) {
        Some(secret) => by_session(app, &sha256_hex(secret)).await,
        None => Ok(None),
    }
}

/// The first admin, for `bootstrap`: that a person has not yet chosen a password does not matter to it.
async fn first_admin(app: &App) -> Result<Option<SignedIn>, ApiError> {
    let account = app.accounts.accounts.get(FIRST_ADMIN).await?;
    Ok(account
        .map(|account| account.entity)
        .filter(|account| !account.user.disabled)
        .map(|account| SignedIn {
            actor: Actor::of(&account.user),
            must_change: false,
            session: None,
        }))
}

async fn by_token(app: &App, token: &str) -> Result<Option<SignedIn>, ApiError> {
    let Some(stored) = app.accounts.tokens.get(&sha256_hex(token)).await? else {
        return Ok(None);
    };
    if !stored.entity.alive(Timestamp::now()) {
        return Ok(None);
    }
    let account = app.accounts.accounts.get(&stored.entity.account).await?;
    Ok(account
        .map(|account| account.entity)
        .filter(|account| counts(account, stored.entity.user))
        .map(|account| SignedIn {
            actor: Actor::of(&account.user),
            must_change: account.must_change,
            session: None,
        }))
}

async fn by_session(app: &App, id: &str) -> Result<Option<SignedIn>, ApiError> {
    let Some(stored) = app.accounts.sessions.get(id).await? else {
        return Ok(None);
    };
    let now = Timestamp::now();
    if !stored.entity.alive(now) {
        return Ok(None);
    }
    let account = app.accounts.accounts.get(&stored.entity.account).await?;
    let Some(account) = account
        .map(|account| account.entity)
        .filter(|account| counts(account, stored.entity.user))
    else {
        return Ok(None);
    };
    if stored.entity.is_stale(now) {
        touch(app, id, now).await;
    }
    Ok(Some(SignedIn {
        actor: Actor::of(&account.user),
        must_change: account.must_change,
        session: Some(id.to_owned()),
    }))
}

fn counts(account: &Account, user: common::UserId) -> bool {
    account.user.id == user && !account.user.disabled
}

/// Writes down that a session was used. That it fails must not fail the request.
async fn touch(app: &App, id: &str, now: Timestamp) {
    let touched = app
        .accounts
        .sessions
        .apply(id, None, |current, _| {
            Ok::<_, ApiError>(current.map_or(Change::Keep, |session| {
                let mut entity = session.clone();
                entity.used = entity.used.max(now);
                Change::Put {
                    entity,
                    records: Vec::new(),
                }
            }))
        })
        .await;
    if let Err(error) = touched {
        tracing::warn!(%error, "the use of a session was not written down");
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}
