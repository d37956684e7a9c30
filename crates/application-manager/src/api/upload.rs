//! `POST /api/v1/applications`: a bundle comes in.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::multipart::MultipartRejection;
use axum::extract::{DefaultBodyLimit, Multipart, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use common::messages::application::Listed;
use common::messages::user::Role;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::applications::{ApplicationView, show};
use super::{ApiError, Args, guard};
use crate::access::Caller;
use crate::app::App;
use crate::bundle::{InspectError, ReceiveError};
use crate::catalogue::UploadError;

/// How long an upload may take.
const LONGEST: Duration = Duration::from_secs(600);

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    // The intake counts for itself and knows the installation's limit.
    OpenApiRouter::new()
        .routes(routes!(upload))
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn(|request, next| guard::deadline(LONGEST, request, next)))
}

/// Who is to see a new application.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ListedTo {
    /// Every user.
    Everyone,
    /// Nobody yet but its developer.
    Named,
}

/// How a bundle is taken in.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct UploadArgs {
    /// Who sees the application: `everyone` or `named`; a new one is seen by its developer only when not given.
    #[param(inline)]
    listed: Option<ListedTo>,
}

/// A bundle as a form.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the form")]
struct BundleForm {
    /// The zip.
    #[schema(value_type = String, format = Binary)]
    bundle: Vec<u8>,
}

/// What became of an upload: its image is being built from now on.
#[derive(Debug, Serialize, ToSchema)]
struct Uploaded {
    /// The application.
    application: ApplicationView,
    /// Number of the version.
    version: String,
    /// Where the state of the version can be followed: `building`, then `ready` or `failed`.
    follow: String,
}

/// Uploads a bundle: a new application, or a new version of one.
#[utoipa::path(post, path = "/api/v1/applications", tag = "applications", params(UploadArgs),
    request_body(content = BundleForm, content_type = "multipart/form-data"),
    responses((status = 202, body = Uploaded), (status = 422, body = super::ProblemBody, content_type = "application/problem+json")))]
async fn upload(
    State(app): State<Arc<App>>,
    caller: Caller,
    Args(args): Args<UploadArgs>,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Response, ApiError> {
    caller.must_be(Role::Developer)?;
    let form = form.map_err(|_| ApiError::bad_request("send the zip as field `bundle` of multipart/form-data"))?;
    let received = receive(&app, form).await?;
    let types = {
        let view = app.view.read();
        view.types
            .values()
            .map(|facts| (facts.name.clone(), facts.kind))
            .collect()
    };
    let bundle = app.intake.inspect(received, Some(types)).await.map_err(inspect_error)?;
    let listed = args.listed.map(|listed| match listed {
        ListedTo::Everyone => Listed::Everyone,
        ListedTo::Named => Listed::Named { users: Vec::new() },
    });
    let number = bundle.manifest.version.to_string();
    let (application, _) = app
        .catalogue
        .upload(caller.id, bundle, listed)
        .await
        .map_err(upload_error)?;
    let (id, version) = (application.id, application.version);
    let shown = |view: &crate::view::View| view.applications.get(&id).is_some_and(|known| known.version >= version);
    app.view.until(Duration::from_secs(1), shown).await;
    let follow = format!("/api/v1/applications/{}/versions/{number}", application.name);
    let body = Uploaded {
        application: show(&app.view.read(), &caller, &application),
        version: number,
        follow: follow.clone(),
    };
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, follow)], Json(body)).into_response())
}

async fn receive(app: &App, mut form: Multipart) -> Result<crate::bundle::Received, ApiError> {
    let broken = |error: axum::extract::multipart::MultipartError| {
        ApiError::bad_request(format!("the form is broken: {}", error.body_text()))
    };
    while let Some(field) = form.next_field().await.map_err(broken)? {
        if field.name() == Some("bundle") {
            return app.intake.receive(field).await.map_err(receive_error);
        }
    }
    Err(ApiError::bad_request("the form has no field `bundle` with the zip"))
}

fn receive_error(error: ReceiveError) -> ApiError {
    match &error {
        ReceiveError::TooLarge { .. } => ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", error.to_string()),
        ReceiveError::Broken(_) => ApiError::bad_request(error.to_string()),
        ReceiveError::Disk(cause) if cause.kind() == std::io::ErrorKind::StorageFull => ApiError::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "disk-full",
            "the disk of the platform is full",
        ),
        ReceiveError::Disk(_) => ApiError::internal(error.into()),
    }
}

fn inspect_error(error: InspectError) -> ApiError {
    match error {
        InspectError::Refused(report) => ApiError::invalid(report.problems),
        InspectError::Disk(_) => ApiError::internal(error.into()),
    }
}

fn upload_error(error: UploadError) -> ApiError {
    match error {
        UploadError::Unavailable(cause) => {
            tracing::warn!("an upload was not taken into the catalogue: {cause:#}");
            ApiError::unavailable("the catalogue can not be written now; the same upload again is safe")
        }
        taken => ApiError::conflict(taken.to_string()),
    }
}
