//! The REST API: one file per noun; the table of routes is in ARCHITECTURE.md, the description of every body in `/api/openapi.json`.
#![expect(
    unused_qualifications,
    reason = "`utoipa::path` writes types with the spans of its `params`"
)]

pub(crate) mod actions;
pub(crate) mod applications;
pub(crate) mod command;
mod events;
mod extract;
mod guard;
pub(crate) mod health;
pub(crate) mod instances;
pub(crate) mod names;
mod operations;
pub(crate) mod page;
mod problem;
pub(crate) mod readings;
mod records;
pub(crate) mod registry;
pub(crate) mod schedules;
mod session;
mod text;
mod tokens;
mod upload;
mod users;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse as _;
use axum::routing::get;
use axum::{Json, Router};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::PartialSchema as _;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Content, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;

use crate::access::SESSION_COOKIE;
use crate::app::App;

pub(crate) use extract::{Args, At, Body, Idempotency, IfMatch, RequestIds};
pub(crate) use problem::{ApiError, ProblemBody};

/// Largest body of a request that is not a bundle.
const BODY_BYTES: usize = 512 * 1024;
/// How long a handler may take.
const HANDLER: Duration = Duration::from_secs(30);

/// Returns every route but the upload of bundles, which has limits of its own.
fn plain() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .merge(session::routes())
        .merge(users::routes())
        .merge(tokens::routes())
        .merge(applications::routes())
        .merge(registry::routes())
        .merge(schedules::routes())
        .merge(instances::routes())
        .merge(actions::routes())
        .merge(operations::routes())
        .merge(health::routes())
        .merge(records::routes())
        .merge(events::routes())
}

/// Returns the API with its guards and its description.
pub(crate) fn router(app: Arc<App>) -> Router {
    let (plain, api) = plain()
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(from_fn(|request, next| guard::deadline(HANDLER, request, next)))
        .merge(upload::routes())
        .split_for_parts();
    let description = Arc::new(complete(api));
    let described = move || {
        let description = description.clone();
        async move { Json((*description).clone()) }
    };
    plain
        .route("/api/openapi.json", get(described))
        .route(
            "/api/{*rest}",
            axum::routing::any(|| async { ApiError::not_found("route").into_response() }),
        )
        .layer(from_fn_with_state(app.clone(), guard::audit))
        .layer(from_fn(guard::origin))
        .layer(from_fn_with_state(app.clone(), guard::started))
        .layer(from_fn(guard::measure))
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        ))
        .with_state(app)
}

/// Adds to every response what browsers need to know.
pub(crate) fn with_security_headers(router: Router) -> Router {
    let headers = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (
            header::HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            header::HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ];
    headers.into_iter().fold(router, |router, (name, value)| {
        router.layer(SetResponseHeaderLayer::if_not_present(
            name,
            HeaderValue::from_static(value),
        ))
    })
}

/// Returns the description of the API.
#[cfg(test)]
pub(crate) fn description() -> OpenApi {
    let (_, api) = plain().merge(upload::routes()).split_for_parts();
    complete(api)
}

/// Adds what is the same for every route: title, sign-in, the form of errors.
fn complete(api: OpenApi) -> OpenApi {
    let mut builder = OpenApiBuilder::from(api).info(
        InfoBuilder::new()
            .title("Platform for IoT applications")
            .version("1")
            .description(Some(
                "Users, applications, sensors, devices, schedules, instances. Errors are `application/problem+json`.",
            ))
            .license(None)
            .build(),
    );
    builder = builder.security(Some([
        SecurityRequirement::new("session", Vec::<String>::new()),
        SecurityRequirement::new("token", Vec::<String>::new()),
    ]));
    let mut api = builder.build();
    let components = api.components.get_or_insert_default();
    components
        .schemas
        .insert("ProblemBody".to_owned(), ProblemBody::schema());
    components
        .schemas
        .insert("Problem".to_owned(), common::rules::Problem::schema());
    components.add_security_scheme(
        "session",
        SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(SESSION_COOKIE))),
    );
    components.add_security_scheme(
        "token",
        SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()),
    );
    let problem = ResponseBuilder::new()
        .description("Why it was not carried out")
        .content(
            "application/problem+json",
            Content::new(Some(Ref::from_schema_name("ProblemBody"))),
        )
        .build();
    for (path, item) in &mut api.paths.paths {
        let operations = [
            ("get", &mut item.get),
            ("post", &mut item.post),
            ("patch", &mut item.patch),
            ("delete", &mut item.delete),
        ];
        for (method, operation) in operations {
            let Some(operation) = operation else { continue };
            operation.operation_id = Some(operation_id(method, path));
            operation
                .responses
                .responses
                .insert("default".to_owned(), RefOr::T(problem.clone()));
        }
    }
    api
}

/// Returns a name for an operation, unique because its method and path are: `get_sensors_by_id`.
fn operation_id(method: &str, path: &str) -> String {
    path.trim_start_matches("/api/v1")
        .split('/')
        .filter(|part| !part.is_empty())
        .fold(method.to_owned(), |name, part| {
            match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                Some(parameter) => format!("{name}_by_{parameter}"),
                None => format!("{name}_{part}"),
            }
        })
}
