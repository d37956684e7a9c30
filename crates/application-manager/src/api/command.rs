//! A change that another service carries out: publish, await the answer for two seconds, else tell where it can be followed.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use common::messages::operation::Requester;
use common::{Envelope, Message, MessageId, OperationId, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::{ApiError, Idempotency, RequestIds};
use crate::app::App;
use crate::operations::{Operation, Outcome};
use crate::rights::Actor;
use crate::view::View;

/// How long a request waits for the answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a request waits until the view shows what was answered.
const SHOWN: Duration = Duration::from_millis(1500);
/// How long a request waits for Kafka.
const CONFIRMED: Duration = Duration::from_secs(5);

/// A command on its way.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    /// Who asks.
    pub(crate) actor: &'a Actor,
    /// Ids of this request.
    pub(crate) ids: RequestIds,
    /// Trace context.
    pub(crate) idempotency: &'a Idempotency,
    /// What is asked for, in words.
    pub(crate) what: String,
    /// Address of what it is about.
    pub(crate) link: String,
}

/// What came of it within the request's patience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Carried {
    /// It was carried out; the entity's version, where there is one.
    Done(Option<u64>),
    /// It goes on.
    Pending(OperationId),
}

/// What a 202 says.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// The operation.
    pub(crate) operation: OperationId,
    /// Where it can be followed.
    pub(crate) follow: String,
}

impl Ask<'_> {
    /// Returns who asks, for the command.
    pub(crate) fn by(&self) -> Requester {
        Requester {
            user: self.actor.id,
            operation: self.ids.operation,
        }
    }

    /// Publishes the command and awaits the answer and its appearance in the view.
    ///
    /// # Errors
    /// When the owner refuses, or Kafka or MongoDB do not answer.
    pub(crate) async fn carry_out<M: Message>(
        &self,
        app: &App,
        message: M,
        shown: impl Fn(&View, u64) -> bool + Send + Sync,
    ) -> Result<(Carried, bool), ApiError> {
        let id = self.ids.operation;
        let fresh = app
            .operations
            .begin(&Operation {
                id,
                user: self.actor.id,
                what: self.what.clone(),
                link: self.link.clone(),
                begun: Timestamp::now(),
            })
            .await?;
        // A retry whose first try was answered gets that answer, and nothing is said twice.
        if fresh || app.operations.outcome(id) == Outcome::Pending {
            let mut envelope = Envelope::first(
                MessageId::derive(&["operation", &id.to_string()]),
                app.bus.source(),
                Timestamp::now(),
                message,
            );
            envelope.traceparent.clone_from(&self.idempotency.traceparent);
            tokio::time::timeout(CONFIRMED, app.bus.publish(&envelope))
                .await
                .map_err(|_| runtime::BusError::NotConfirmed("too late".to_owned()))??;
        }
        let carried = match app.operations.wait(id, PATIENCE).await {
            Outcome::Refused { reason, detail } => return Err(ApiError::refused(reason, detail)),
            Outcome::Pending => Carried::Pending(id),
            Outcome::Done { version: None } => Carried::Done(None),
            Outcome::Done { version: Some(version) } => {
                app.view.until(SHOWN, |view| shown(view, version)).await;
                Carried::Done(Some(version))
            }
        };
        Ok((carried, fresh))
    }
}

/// Answers with the entity when the change was carried out and the view shows it, else with the operation.
pub(crate) fn answer<T: Serialize>(
    carried: &Carried,
    operation: OperationId,
    status: StatusCode,
    link: &str,
    entity: Option<(T, u64)>,
) -> Response {
    match (carried, entity) {
        (Carried::Done(_), Some((entity, version))) => {
            let mut response = (status, etag(version), Json(entity)).into_response();
            if status == StatusCode::CREATED {
                insert(&mut response, header::LOCATION, link);
            }
            response
        }
        _ => accepted(operation),
    }
}

/// Answers a deletion.
pub(crate) fn answer_deleted(carried: &Carried) -> Response {
    match carried {
        Carried::Done(_) => StatusCode::NO_CONTENT.into_response(),
        Carried::Pending(operation) => accepted(*operation),
    }
}

/// Answers 202 with the operation.
pub(crate) fn accepted(operation: OperationId) -> Response {
    let follow = format!("/api/v1/operations/{operation}");
    let body = Accepted {
        operation,
        follow: follow.clone(),
    };
    let mut response = (StatusCode::ACCEPTED, Json(body)).into_response();
    insert(&mut response, header::LOCATION, &follow);
    response
}

/// Returns the `ETag` of a version.
pub(crate) fn etag(version: u64) -> [(header::HeaderName, String); 1] {
    [(header::ETAG, format!("\"{version}\""))]
}

fn insert(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
