//! `/api/v1/session`: sign in, who am I, sign out, change the password.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use common::Timestamp;
use runtime::http::Link;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::users::{UserView, show};
use super::{ApiError, Body};
use crate::access::{ABSOLUTE_SECONDS, ActorSlot, FIRST_ADMIN, Peer, SESSION_COOKIE, SignedIn, check_password};
use crate::app::App;
use crate::rights::Actor;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(sign_in, who_am_i, sign_out))
        .routes(routes!(change_password))
        .routes(routes!(first))
}

/// Name and password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SignIn {
    /// Sign-in name.
    name: String,
    /// Password.
    password: String,
}

/// Who is signed in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WhoAmI {
    /// The user.
    user: UserView,
    /// Whether only the password may be changed now.
    password_change_required: bool,
}

/// Signs in and sets the session cookie.
#[utoipa::path(post, path = "/api/v1/session", tag = "session", security(()), request_body = SignIn,
    responses((status = 200, body = WhoAmI)))]
async fn sign_in(
    State(app): State<Arc<App>>,
    peer: Peer,
    slot: Option<Extension<ActorSlot>>,
    link: Option<Extension<Link>>,
    Body(body): Body<SignIn>,
) -> Result<Response, ApiError> {
    let address = peer.address();
    let wrong = || {
        ApiError::new(
            StatusCode::UNAUTHORIZED,
            "wrong-password",
            "the name or the password is wrong",
        )
    };
    if body.name.len() > 100 || body.password.len() > 1000 {
        return Err(wrong());
    }
    app.accounts.take_try(&address, &body.name)?;
    let account = app.accounts.accounts.get(&body.name).await?.map(|stored| stored.entity);
    if let (Some(account), Some(Extension(slot))) = (&account, &slot) {
        // Tries with a wrong password are noted as well.
        slot.0.get_or_init(|| Actor::of(&account.user));
    }
    let hash = account.as_ref().map(|account| account.password_hash.clone());
    let right = app.accounts.passwords.verify(body.password, hash).await?;
    let account = account
        .filter(|account| right && !account.user.disabled)
        .ok_or_else(wrong)?;
    app.accounts.give_back(&address, &body.name);
    let secret = app.accounts.begin_session(&account, Timestamp::now()).await?;
    let body = WhoAmI {
        user: show(&account.user),
        password_change_required: account.must_change,
    };
    // What was given over TLS is never sent without it.
    let secure = match link {
        Some(Extension(Link::Encrypted)) => "; Secure",
        _ => "",
    };
    let cookie =
        format!("{SESSION_COOKIE}={secret}; Path=/; HttpOnly; SameSite=Lax; Max-Age={ABSOLUTE_SECONDS}{secure}");
    Ok(([(header::SET_COOKIE, cookie)], Json(body)).into_response())
}

/// Says who is signed in.
#[utoipa::path(get, path = "/api/v1/session", tag = "session", responses((status = 200, body = WhoAmI)))]
async fn who_am_i(State(app): State<Arc<App>>, signed_in: SignedIn) -> Result<Json<WhoAmI>, ApiError> {
    let account = app.accounts.accounts.get(&signed_in.actor.name).await?;
    let account = account.ok_or_else(ApiError::unauthorized)?.entity;
    Ok(Json(WhoAmI {
        user: show(&account.user),
        password_change_required: account.must_change,
    }))
}

/// Ends the session.
#[utoipa::path(delete, path = "/api/v1/session", tag = "session", responses((status = 204)))]
async fn sign_out(State(app): State<Arc<App>>, signed_in: SignedIn) -> Result<Response, ApiError> {
    if let Some(session) = &signed_in.session {
        app.accounts.end_session(session).await?;
    }
    let cookie = format!("{SESSION_COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// The password as it is and as it is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangePassword {
    /// The password as it is.
    current: String,
    /// The password as it is to be: 10 to 256 characters.
    new: String,
}

/// Changes the own password; other sessions end.
#[utoipa::path(post, path = "/api/v1/session/password", tag = "session", request_body = ChangePassword, responses((status = 204)))]
async fn change_password(
    State(app): State<Arc<App>>,
    peer: Peer,
    signed_in: SignedIn,
    Body(body): Body<ChangePassword>,
) -> Result<StatusCode, ApiError> {
    let (address, name) = (peer.address(), signed_in.actor.name);
    check_password("new", &body.new, &name).map_err(|problem| ApiError::invalid(vec![problem]))?;
    if body.new == body.current {
        return Err(ApiError::misfit("new", "the password as it is", "another password"));
    }
    app.accounts.take_try(&address, &name)?;
    let account = app
        .accounts
        .accounts
        .get(&name)
        .await?
        .ok_or_else(ApiError::unauthorized)?;
    let known = account.entity.password_hash;
    if !app.accounts.passwords.verify(body.current, Some(known.clone())).await? {
        return Err(ApiError::misfit("current", "another password", "the password as it is"));
    }
    app.accounts.give_back(&address, &name);
    let hash = app.accounts.passwords.hash(body.new).await?;
    let user = app
        .accounts
        .change(&name, |account| {
            if account.password_hash != known {
                return Err(ApiError::conflict("the password was changed meanwhile"));
            }
            account.password_hash.clone_from(&hash);
            account.must_change = false;
            Ok(())
        })
        .await?;
    app.accounts.end_sessions(user.id, signed_in.session.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether the first admin still has the one-time password.
#[derive(Debug, Serialize, ToSchema)]
struct First {
    /// Whether nobody changed it yet.
    pending: bool,
}

/// Tells programs on this host whether the first admin still has the one-time password.
#[utoipa::path(get, path = "/api/v1/session/first", tag = "session", security(()), responses((status = 200, body = First)))]
async fn first(State(app): State<Arc<App>>, peer: Peer) -> Result<Json<First>, ApiError> {
    if !peer.is_loopback() {
        return Err(ApiError::not_found("route"));
    }
    let admin = app.accounts.accounts.get(FIRST_ADMIN).await?;
    Ok(Json(First {
        pending: admin.is_some_and(|admin| admin.entity.must_change),
    }))
}
