//! `/api/v1/users`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use common::messages::user::{Role, User};
use common::names::Slug;
use common::rules::Problem;
use common::{Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::command::etag;
use super::page::{Page, Paging, by_name, page};
use super::{ApiError, Args, At, Body, Idempotency, IfMatch};
use crate::access::{Caller, NewAccount, check_password, new_secret};
use crate::app::App;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, change, delete))
}

/// A user as clients see one.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct UserView {
    /// Identity.
    id: UserId,
    /// Sign-in name.
    name: String,
    /// What others see.
    title: String,
    /// What the person may do.
    roles: Vec<Role>,
    /// Where notifications are mailed.
    email: Option<String>,
    /// Where notifications are posted.
    webhook: Option<String>,
    /// Whether signing in is refused.
    disabled: bool,
    /// When the account was made.
    created: Timestamp,
    /// Grows with each change.
    version: u64,
}

/// Renders a user.
pub(crate) fn show(user: &User) -> UserView {
    UserView {
        id: user.id,
        name: user.name.clone(),
        title: user.title.clone(),
        roles: user.roles.clone(),
        email: user.email.clone(),
        webhook: user.webhook.clone(),
        disabled: user.disabled,
        created: user.created,
        version: user.version,
    }
}

/// A new user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewUser {
    /// Sign-in name.
    name: Slug,
    /// What others see; the name when not given.
    title: Option<String>,
    /// What the person may do.
    roles: Vec<Role>,
    /// Where notifications are mailed.
    email: Option<String>,
    /// Where notifications are posted.
    webhook: Option<String>,
    /// One-time password; one is made when none is given.
    password: Option<String>,
}

/// A user who was made.
#[derive(Debug, Serialize, ToSchema)]
struct CreatedUser {
    /// The user.
    #[serde(flatten)]
    user: UserView,
    /// The one-time password that was made; shown once, must be changed at the first sign-in.
    #[serde(skip_serializing_if = "Option::is_none")]
    one_time_password: Option<String>,
}

/// What is to be changed; what is not named stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct UserChange {
    /// What others see.
    title: Option<String>,
    /// What the person may do (admins).
    roles: Option<Vec<Role>>,
    /// Where notifications are mailed; empty: nowhere.
    email: Option<String>,
    /// Where notifications are posted; empty: nowhere.
    webhook: Option<String>,
    /// Whether signing in is refused (admins).
    disabled: Option<bool>,
    /// A new one-time password (admins).
    password: Option<String>,
}

fn check_contact(email: Option<&str>, webhook: Option<&str>) -> Result<(), ApiError> {
    let mut problems = Vec::new();
    if let Some(email) = email.filter(|email| !email.is_empty()) {
        let fits = email.len() <= 254
            && email.is_ascii()
            && !email.contains(|c: char| c.is_whitespace() || c.is_control() || c == ',' || c == ';')
            && email
                .split_once('@')
                .is_some_and(|(user, host)| !user.is_empty() && host.contains('.'));
        if !fits {
            problems.push(Problem::new(
                "email",
                format!("`{email}`"),
                "an address such as person@example.org",
            ));
        }
    }
    if let Some(webhook) = webhook.filter(|webhook| !webhook.is_empty()) {
        let rest = webhook
            .strip_prefix("https://")
            .or_else(|| webhook.strip_prefix("http://"));
        if webhook.len() > 1000 || rest.is_none_or(str::is_empty) || webhook.contains(char::is_whitespace) {
            problems.push(Problem::new(
                "webhook",
                format!("`{webhook}`"),
                "an address that begins with https:// or http://",
            ));
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(ApiError::invalid(problems))
    }
}

fn not_empty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn sorted(mut roles: Vec<Role>) -> Vec<Role> {
    roles.sort_unstable();
    roles.dedup();
    roles
}

/// Lists users.
#[utoipa::path(get, path = "/api/v1/users", tag = "users", params(Paging), responses((status = 200, body = Page<UserView>)))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Args(paging): Args<Paging>,
) -> Result<Json<Page<UserView>>, ApiError> {
    caller.must_be(Role::Admin)?;
    let view = app.view.read();
    let entries = view
        .users
        .values()
        .map(|user| (by_name(&user.name, user.id), user))
        .collect();
    Ok(Json(page(entries, &paging, show)))
}

/// Makes a user.
#[utoipa::path(post, path = "/api/v1/users", tag = "users", request_body = NewUser, responses((status = 201, body = CreatedUser)))]
async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    idempotency: Idempotency,
    Body(new): Body<NewUser>,
) -> Result<Response, ApiError> {
    caller.must_be(Role::Admin)?;
    check_contact(new.email.as_deref(), new.webhook.as_deref())?;
    let made = new.password.is_none().then(new_secret);
    let password = new.password.or_else(|| made.clone()).unwrap_or_default();
    check_password("password", &password, new.name.as_str()).map_err(|problem| ApiError::invalid(vec![problem]))?;
    let id = UserId::from_uuid(idempotency.ids(&caller, "POST /users").entity);
    let title = super::text::line("title", &new.title.unwrap_or_else(|| new.name.to_string()), 100)?;
    let location = format!("/api/v1/users/{}", new.name);
    let user = app
        .accounts
        .create(
            id,
            NewAccount {
                name: new.name,
                title,
                roles: sorted(new.roles),
                email: not_empty(new.email),
                webhook: not_empty(new.webhook),
                password,
            },
        )
        .await?;
    shown(&app, &user).await;
    let body = CreatedUser {
        user: show(&user),
        one_time_password: made,
    };
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        etag(user.version),
        Json(body),
    )
        .into_response())
}

/// Waits until lists show the user.
async fn shown(app: &App, user: &User) {
    let (id, version) = (user.id, user.version);
    let known = |view: &crate::view::View| view.users.get(&id).is_some_and(|user| user.version >= version);
    app.view.until(std::time::Duration::from_secs(1), known).await;
}

/// Returns a user; others than admins see only themselves.
#[utoipa::path(get, path = "/api/v1/users/{name}", tag = "users", params(("name" = String, Path)),
    responses((status = 200, body = UserView)))]
async fn get(State(app): State<Arc<App>>, caller: Caller, At(name): At<String>) -> Result<Response, ApiError> {
    if !caller.is_admin() && caller.name != name {
        return Err(ApiError::not_found("user"));
    }
    let account = app
        .accounts
        .accounts
        .get(&name)
        .await?
        .ok_or_else(|| ApiError::not_found("user"))?;
    let user = account.entity.user;
    Ok((etag(user.version), Json(show(&user))).into_response())
}

/// Changes a user; others than admins may change their own title, mail address and webhook.
#[utoipa::path(patch, path = "/api/v1/users/{name}", tag = "users", params(("name" = String, Path)), request_body = UserChange,
    responses((status = 200, body = UserView)))]
async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    At(name): At<String>,
    if_match: IfMatch,
    Body(change): Body<UserChange>,
) -> Result<Response, ApiError> {
    if !caller.is_admin() && caller.name != name {
        return Err(ApiError::not_found("user"));
    }
    let by_admin = change.roles.is_some() || change.disabled.is_some() || change.password.is_some();
    if by_admin {
        caller.must_be(Role::Admin)?;
    }
    check_contact(change.email.as_deref(), change.webhook.as_deref())?;
    let title = change
        .title
        .as_deref()
        .map(|title| super::text::line("title", title, 100))
        .transpose()?;
    let loses_admin =
        change.disabled == Some(true) || change.roles.as_ref().is_some_and(|roles| !roles.contains(&Role::Admin));
    if loses_admin {
        another_admin(&app, &name).await?;
    }
    let hash = match &change.password {
        Some(password) => {
            check_password("password", password, &name).map_err(|problem| ApiError::invalid(vec![problem]))?;
            Some(app.accounts.passwords.hash(password.clone()).await?)
        }
        None => None,
    };
    let user = app
        .accounts
        .change(&name, |account| {
            if_match.expect(account.user.version)?;
            apply(account, &change, title.as_deref(), hash.as_deref());
            Ok(())
        })
        .await?;
    if hash.is_some() || user.disabled {
        app.accounts.end_sessions(user.id, None).await?;
    }
    if user.disabled {
        app.pages.revoke_user(user.id).await?;
    }
    shown(&app, &user).await;
    Ok((etag(user.version), Json(show(&user))).into_response())
}

fn apply(account: &mut crate::access::Account, change: &UserChange, title: Option<&str>, hash: Option<&str>) {
    let user = &mut account.user;
    if let Some(title) = title {
        title.clone_into(&mut user.title);
    }
    if let Some(roles) = &change.roles {
        user.roles = sorted(roles.clone());
    }
    if change.email.is_some() {
        user.email = not_empty(change.email.clone());
    }
    if change.webhook.is_some() {
        user.webhook = not_empty(change.webhook.clone());
    }
    if let Some(disabled) = change.disabled {
        user.disabled = disabled;
    }
    if let Some(hash) = hash {
        hash.clone_into(&mut account.password_hash);
        account.must_change = true;
    }
}

/// Refuses to leave the installation without an admin.
async fn another_admin(app: &App, but: &str) -> Result<(), ApiError> {
    let accounts = app.accounts.accounts.list(&[]).await?;
    let is_admin = |user: &User| user.roles.contains(&Role::Admin) && !user.disabled;
    let affected = accounts
        .iter()
        .any(|stored| stored.id == but && is_admin(&stored.entity.user));
    if affected
        && !accounts
            .iter()
            .any(|stored| stored.id != but && is_admin(&stored.entity.user))
    {
        return Err(ApiError::conflict("this is the only admin; make another one first"));
    }
    Ok(())
}

/// Deletes a user with their sessions and tokens.
#[utoipa::path(delete, path = "/api/v1/users/{name}", tag = "users", params(("name" = String, Path)), responses((status = 204)))]
async fn delete(State(app): State<Arc<App>>, caller: Caller, At(name): At<String>) -> Result<StatusCode, ApiError> {
    caller.must_be(Role::Admin)?;
    another_admin(&app, &name).await?;
    let id = app.accounts.delete(&name).await?;
    app.pages.revoke_user(id).await?;
    let gone = |view: &crate::view::View| view.user_named(&name).is_none();
    app.view.until(std::time::Duration::from_secs(1), gone).await;
    Ok(StatusCode::NO_CONTENT)
}
