//! Errors as clients see them: `application/problem+json`. What is nobody's business is logged, not returned.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use common::messages::operation::Refusal;
use common::rules::Problem;
use runtime::{ApplyError, BusError, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    detail: String,
    errors: Vec<Problem>,
    retry_after: Option<u64>,
}

/// The body of an error (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemBody {
    /// Kind of problem, for programs: `not-found`, `invalid`, `password-change-required`, …
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    /// The status in words.
    pub(crate) title: &'static str,
    /// The status.
    pub(crate) status: u16,
    /// What was found, and what is allowed or what to do.
    pub(crate) detail: String,
    /// Each single thing that is wrong, for forms and reports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<Problem>,
}

impl ApiError {
    /// An error of a kind of its own.
    pub(crate) fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
        }
    }

    /// 401.
    pub(crate) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "sign-in-required",
            "sign in first; the session may have ended",
        )
    }

    /// 403 until the one-time password is changed.
    pub(crate) fn password_change_required() -> Self {
        let detail = "change the one-time password first: POST /api/v1/session/password";
        Self::new(StatusCode::FORBIDDEN, "password-change-required", detail)
    }

    /// 403.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// 404: there is none, or none for this person.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", format!("there is no such {what}"))
    }

    /// 409.
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    /// 412.
    pub(crate) fn precondition(current: u64) -> Self {
        let detail =
            format!("it was changed meanwhile (its version is {current}); read it again and repeat the change");
        Self::new(StatusCode::PRECONDITION_FAILED, "changed-meanwhile", detail)
    }

    /// 400.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    /// 422 with everything that is wrong.
    pub(crate) fn invalid(errors: Vec<Problem>) -> Self {
        let detail = common::rules::problem::listed(&errors);
        Self {
            errors,
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail)
        }
    }

    /// 422 with one thing that is wrong.
    pub(crate) fn misfit(path: &str, found: impl std::fmt::Display, allowed: impl Into<String>) -> Self {
        Self::invalid(vec![Problem::new(path, found, allowed)])
    }

    /// 429.
    pub(crate) fn too_many(seconds: u64) -> Self {
        let detail = format!("too many tries; wait {seconds} s");
        Self {
            retry_after: Some(seconds),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-tries", detail)
        }
    }

    /// 503.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self {
            retry_after: Some(2),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
        }
    }

    /// 500; the cause is logged.
    #[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
    pub(crate) fn internal(cause: anyhow::Error) -> Self {
        tracing::error!("a request failed: {cause:#}");
        let detail = "the platform made a mistake; the log of application-manager says more";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// The refusal of another service.
    pub(crate) fn refused(reason: Refusal, detail: String) -> Self {
        match reason {
            Refusal::NotFound => Self::new(StatusCode::NOT_FOUND, "not-found", detail),
            Refusal::Conflict => Self::conflict(detail),
            Refusal::Invalid => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail),
        }
    }

    /// Whether it is a conflict.
    pub(crate) fn is_conflict(&self) -> bool {
        self.status == StatusCode::CONFLICT
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Corrupt { .. } => Self::internal(error.into()),
            _ => {
                tracing::warn!(%error, "a request meets a store that does not answer");
                Self::unavailable("the database does not answer; try again")
            }
        }
    }
}

impl From<BusError> for ApiError {
    fn from(error: BusError) -> Self {
        match error {
            BusError::Encode(_) => Self::internal(error.into()),
            BusError::TooLarge => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "this is too large for one message",
            ),
            _ => {
                tracing::warn!(%error, "a request meets a bus that does not answer");
                Self::unavailable(
                    "kafka did not confirm, so it is not known whether this will happen; try again with the same Idempotency-Key",
                )
            }
        }
    }
}

impl From<ApplyError<Self>> for ApiError {
    fn from(error: ApplyError<Self>) -> Self {
        match error {
            ApplyError::Refused(error) => error,
            ApplyError::Store(error) => error.into(),
        }
    }
}

impl From<anyhow::Error> for ApiError {
    fn from(error: anyhow::Error) -> Self {
        Self::internal(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            kind: self.kind,
            title: self.status.canonical_reason().unwrap_or("error"),
            status: self.status.as_u16(),
            detail: self.detail,
            errors: self.errors,
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
