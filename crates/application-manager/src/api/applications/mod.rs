//! `/api/v1/applications`: the catalogue.

mod matches;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use common::manifest::{Kind, Manifest};
use common::messages::application::{Application, ApplicationVersion, Listed, VersionState};
use common::{ApplicationId, Timestamp, VersionId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::command::etag;
use super::names::PersonRef;
use super::page::{Page, Paging, by_name, page};
use super::{ApiError, Args, At, Body, IfMatch};
use crate::access::Caller;
use crate::app::App;
use crate::catalogue::ChangeError;
use crate::logs::{LogPage, LogQuery, LogSource};
use crate::rights::{self, Actor};
use crate::view::View;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get, change))
        .routes(routes!(version))
        .routes(routes!(version_log))
        .routes(routes!(matches::matches))
}

/// An application as clients see it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct ApplicationView {
    /// Identity.
    id: ApplicationId,
    /// Name in addresses.
    name: String,
    /// What people see.
    title: String,
    /// What it is for.
    description: String,
    /// The developer.
    owner: PersonRef,
    /// Who sees it.
    listed: ListedView,
    /// Versions, newest first.
    versions: Vec<VersionView>,
    /// Number of the newest version that can be scheduled.
    ready: Option<String>,
    /// Whether the caller may change it and read its build logs.
    may_change: bool,
    /// First upload.
    created: Timestamp,
    /// Last change.
    updated: Timestamp,
    /// Grows with each change.
    version: u64,
}

/// Who sees an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "to", rename_all = "snake_case")]
enum ListedView {
    /// Every user.
    Everyone,
    /// These users (and the developer, and admins).
    Named {
        /// Sign-in names; shown only to those who may change it.
        users: Vec<String>,
    },
}

/// A version as clients see it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct VersionView {
    /// Identity.
    id: VersionId,
    /// Number.
    number: String,
    /// Whether it runs until stopped or to completion.
    kind: Kind,
    /// Whether it serves pages.
    has_page: bool,
    /// Size of the zip in bytes.
    size_bytes: u64,
    /// When it was uploaded.
    uploaded: Timestamp,
    /// How far it is.
    #[serde(flatten)]
    state: VersionState,
}

/// A version with its manifest.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
struct VersionDetail {
    /// The version.
    #[serde(flatten)]
    facts: VersionView,
    /// Its manifest.
    manifest: Manifest,
}

fn show_version(version: &ApplicationVersion) -> VersionView {
    VersionView {
        id: version.id,
        number: version.number.clone(),
        kind: version.manifest.kind,
        has_page: version.manifest.page.is_some(),
        size_bytes: version.bundle.size_bytes,
        uploaded: version.uploaded,
        state: version.state.clone(),
    }
}

/// Returns the newest version that can be scheduled.
pub(crate) fn newest_ready(application: &Application) -> Option<&ApplicationVersion> {
    application
        .versions
        .iter()
        .filter(|version| matches!(version.state, VersionState::Ready { .. }))
        .max_by(|one, other| one.manifest.version.cmp(&other.manifest.version))
}

/// Renders an application.
pub(crate) fn show(view: &View, actor: &Actor, application: &Application) -> ApplicationView {
    let may_change = rights::changes_application(actor, application);
    let mut versions: Vec<&ApplicationVersion> = application.versions.iter().collect();
    versions.sort_by(|one, other| other.manifest.version.cmp(&one.manifest.version));
    let listed = match &application.listed {
        Listed::Everyone => ListedView::Everyone,
        Listed::Named { users } => ListedView::Named {
            users: users
                .iter()
                .filter(|_| may_change)
                .filter_map(|id| view.users.get(id).map(|user| user.name.clone()))
                .collect(),
        },
    };
    ApplicationView {
        id: application.id,
        name: application.name.clone(),
        title: application.title.clone(),
        description: application.description.clone(),
        owner: view.person(application.owner),
        listed,
        versions: versions.into_iter().map(show_version).collect(),
        ready: newest_ready(application).map(|version| version.number.clone()),
        may_change,
        created: application.created,
        updated: application.updated,
        version: application.version,
    }
}

/// Returns an application that the person sees.
pub(crate) fn visible<'a>(view: &'a View, actor: &Actor, name: &str) -> Result<&'a Application, ApiError> {
    view.application_named(name)
        .filter(|application| rights::sees_application(actor, application))
        .ok_or_else(|| ApiError::not_found("application"))
}

fn version_of<'a>(application: &'a Application, number: &str) -> Result<&'a ApplicationVersion, ApiError> {
    application
        .versions
        .iter()
        .find(|version| version.number == number)
        .ok_or_else(|| ApiError::not_found("version"))
}

/// Lists the applications that the caller sees.
#[utoipa::path(get, path = "/api/v1/applications", tag = "applications", params(Paging), responses((status = 200, body = Page<ApplicationView>)))]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Args(paging): Args<Paging>,
) -> Result<Json<Page<ApplicationView>>, ApiError> {
    let view = app.view.read();
    let entries = view
        .applications
        .values()
        .filter(|application| rights::sees_application(&caller, application))
        .map(|application| (by_name(&application.title, application.id), application))
        .collect();
    Ok(Json(page(entries, &paging, |application| {
        show(&view, &caller, application)
    })))
}

/// Returns an application.
#[utoipa::path(get, path = "/api/v1/applications/{name}", tag = "applications", params(("name" = String, Path)),
    responses((status = 200, body = ApplicationView)))]
async fn get(State(app): State<Arc<App>>, caller: Caller, At(name): At<String>) -> Result<Response, ApiError> {
    let view = app.view.read();
    let application = visible(&view, &caller, &name)?;
    Ok((etag(application.version), Json(show(&view, &caller, application))).into_response())
}

/// What is to be changed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ApplicationChange {
    /// Who sees it.
    listed: ListedView,
}

/// Changes who sees an application.
#[utoipa::path(patch, path = "/api/v1/applications/{name}", tag = "applications", params(("name" = String, Path)),
    request_body = ApplicationChange, responses((status = 200, body = ApplicationView)))]
async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    At(name): At<String>,
    if_match: IfMatch,
    Body(change): Body<ApplicationChange>,
) -> Result<Response, ApiError> {
    let (listed, expected) = {
        let view = app.view.read();
        let application = visible(&view, &caller, &name)?;
        if !rights::changes_application(&caller, application) {
            return Err(ApiError::forbidden(
                "only its developer and admins may change an application",
            ));
        }
        let users = match change.listed {
            ListedView::Everyone => None,
            ListedView::Named { users } => Some(users),
        };
        let find = |name: &String| {
            let allowed = "sign-in names of users";
            view.user_named(name)
                .map(|user| user.id)
                .ok_or_else(|| ApiError::misfit("listed.users", format!("`{name}`"), allowed))
        };
        let listed = match users {
            None => Listed::Everyone,
            Some(users) => Listed::Named {
                users: users.iter().map(find).collect::<Result<_, _>>()?,
            },
        };
        (listed, if_match.expect(application.version)?)
    };
    let application = app
        .catalogue
        .set_listed(&name, &listed, Some(expected))
        .await
        .map_err(change_error)?;
    let (id, version) = (application.id, application.version);
    let shown = |view: &View| view.applications.get(&id).is_some_and(|known| known.version >= version);
    app.view.until(std::time::Duration::from_secs(1), shown).await;
    Ok((etag(version), Json(show(&app.view.read(), &caller, &application))).into_response())
}

fn change_error(error: ChangeError) -> ApiError {
    match error {
        ChangeError::NotFound => ApiError::not_found("application"),
        ChangeError::OtherVersion { found, .. } => ApiError::precondition(found),
        ChangeError::Unavailable(cause) => {
            tracing::warn!("an application was not changed: {cause:#}");
            ApiError::unavailable("the catalogue can not be written now; try again")
        }
    }
}

/// Returns a version with its manifest.
#[utoipa::path(get, path = "/api/v1/applications/{name}/versions/{version}", tag = "applications",
    params(("name" = String, Path), ("version" = String, Path)), responses((status = 200, body = VersionDetail)))]
async fn version(
    State(app): State<Arc<App>>,
    caller: Caller,
    At((name, number)): At<(String, String)>,
) -> Result<Json<VersionDetail>, ApiError> {
    let view = app.view.read();
    let version = version_of(visible(&view, &caller, &name)?, &number)?;
    Ok(Json(VersionDetail {
        facts: show_version(version),
        manifest: version.manifest.clone(),
    }))
}

/// Which lines of a log.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Lines {
    /// Only lines with this text, upper or lower case.
    q: Option<String>,
    /// `next` of the answer before: what is older.
    before: Option<String>,
    /// Lines at most, 1 to 1000 (200 when not given).
    limit: Option<usize>,
}

impl Lines {
    /// Returns the query.
    ///
    /// # Errors
    /// When `before` is not what an answer gave.
    pub(crate) fn query(self) -> Result<LogQuery, ApiError> {
        let before = self.before.map(|before| before.parse()).transpose();
        Ok(LogQuery {
            text: self.q,
            before: before.map_err(|error: crate::logs::CursorError| ApiError::bad_request(error.to_string()))?,
            limit: self.limit.unwrap_or(200).clamp(1, 1000),
        })
    }
}

/// Returns the newest lines of the build of a version, oldest first.
#[utoipa::path(get, path = "/api/v1/applications/{name}/versions/{version}/log", tag = "applications",
    params(("name" = String, Path), ("version" = String, Path), Lines), responses((status = 200, body = LogPage)))]
async fn version_log(
    State(app): State<Arc<App>>,
    caller: Caller,
    At((name, number)): At<(String, String)>,
    Args(lines): Args<Lines>,
) -> Result<Json<LogPage>, ApiError> {
    let id = {
        let view = app.view.read();
        let application = visible(&view, &caller, &name)?;
        if !rights::changes_application(&caller, application) {
            return Err(ApiError::forbidden(
                "only its developer and admins may read the build log",
            ));
        }
        version_of(application, &number)?.id
    };
    Ok(Json(app.logs.query(LogSource::Version(id), &lines.query()?).await?))
}
