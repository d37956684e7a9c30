//! `/api/v1/operations`: how work went that outlived its request.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use common::messages::operation::Refusal;
use common::{OperationId, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{ApiError, At};
use crate::access::Caller;
use crate::app::App;
use crate::operations::{Operation, Outcome};

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(get))
}

/// An operation as clients see it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct OperationView {
    /// Identity.
    id: OperationId,
    /// What was asked for, in words.
    what: String,
    /// Address of what it is about.
    link: String,
    /// `pending`, `done` or `refused`.
    state: &'static str,
    /// Kind of refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Refusal>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// When it began.
    begun: Timestamp,
}

/// Renders an operation.
pub(crate) fn show(operation: Operation, outcome: Outcome) -> OperationView {
    let (state, reason, detail) = match outcome {
        Outcome::Pending => ("pending", None, None),
        Outcome::Done { .. } => ("done", None, None),
        Outcome::Refused { reason, detail } => ("refused", Some(reason), Some(detail)),
    };
    OperationView {
        id: operation.id,
        what: operation.what,
        link: operation.link,
        state,
        reason,
        detail,
        begun: operation.begun,
    }
}

/// Returns an operation that the caller began in the last day.
#[utoipa::path(get, path = "/api/v1/operations/{id}", tag = "operations", params(("id" = OperationId, Path)),
    responses((status = 200, body = OperationView)))]
async fn get(
    State(app): State<Arc<App>>,
    caller: Caller,
    At(id): At<OperationId>,
) -> Result<Json<OperationView>, ApiError> {
    match app.operations.get(id).await? {
        Some((operation, outcome)) if operation.user == caller.id || caller.is_admin() => {
            Ok(Json(show(operation, outcome)))
        }
        _ => Err(ApiError::not_found("operation")),
    }
}
