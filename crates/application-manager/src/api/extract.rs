//! What a request carries: body, address, query, conditions. Each refusal is a problem.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use common::OperationId;
use common::rules::problem::in_words;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::ApiError;
use crate::rights::Actor;

/// A JSON body.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let Json(body) = Json::from_request(request, state).await.map_err(body_error)?;
        Ok(Self(body))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
fn body_error(rejection: JsonRejection) -> ApiError {
    let status = rejection.status();
    let kind = match status {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported-media-type",
        StatusCode::PAYLOAD_TOO_LARGE => "too-large",
        StatusCode::UNPROCESSABLE_ENTITY => "invalid",
        _ => "bad-request",
    };
    let text = rejection.body_text();
    // Where the text is no JSON at all, its place is what helps.
    let text = text
        .strip_prefix("Failed to deserialize the JSON body into the target type: ")
        .map_or_else(|| text.clone(), in_words);
    ApiError::new(status, kind, text)
}

/// A part of the address. What does not parse names nothing.
#[derive(Debug)]
pub(crate) struct At<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for At<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(at) = Path::from_request_parts(parts, state)
            .await
            .map_err(|_: PathRejection| ApiError::not_found("thing: the address has no valid name or id"))?;
        Ok(Self(at))
    }
}

/// The query.
#[derive(Debug)]
pub(crate) struct Args<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Args<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(args) = Query::from_request_parts(parts, state)
            .await
            .map_err(|rejection: QueryRejection| {
                let text = rejection.body_text();
                let text = text
                    .strip_prefix("Failed to deserialize query string: ")
                    .unwrap_or(&text);
                ApiError::bad_request(in_words(text))
            })?;
        Ok(Self(args))
    }
}

/// `If-Match`: the version that is to be changed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IfMatch(Option<u64>);

impl IfMatch {
    /// Returns the version that may be replaced.
    ///
    /// # Errors
    /// 412 when the client saw another one.
    pub(crate) fn expect(self, current: u64) -> Result<u64, ApiError> {
        match self.0 {
            Some(seen) if seen != current => Err(ApiError::precondition(current)),
            _ => Ok(current),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else {
            return Ok(Self(None));
        };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(Self(None));
        }
        text.trim_matches('"')
            .parse()
            .map(|version| Self(Some(version)))
            .map_err(|_| ApiError::bad_request("If-Match is not an ETag of this API, such as \"3\""))
    }
}

/// `Idempotency-Key` and the trace context of a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Idempotency {
    key: Option<String>,
    /// W3C trace context.
    pub(crate) traceparent: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Idempotency {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let text = |name: &str| {
            parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::trim)
        };
        let key = text("idempotency-key");
        if key.is_some_and(|key| key.is_empty() || key.len() > 200) {
            return Err(ApiError::bad_request("an Idempotency-Key has 1 to 200 characters"));
        }
        Ok(Self {
            key: key.map(ToOwned::to_owned),
            traceparent: text("traceparent")
                .filter(|value| value.len() == 55)
                .map(ToOwned::to_owned),
        })
    }
}

/// Ids of what one request makes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestIds {
    /// The operation.
    pub(crate) operation: OperationId,
    /// The entity.
    pub(crate) entity: Uuid,
}

impl Idempotency {
    /// Returns the ids: with a key, each retry by the same person on the same route gets the same ones.
    pub(crate) fn ids(&self, actor: &Actor, route: &str) -> RequestIds {
        match &self.key {
            None => RequestIds {
                operation: OperationId::new(),
                entity: Uuid::now_v7(),
            },
            Some(key) => {
                let derive = |what: &str| OperationId::derive(&["request", &actor.id.to_string(), route, key, what]);
                RequestIds {
                    operation: derive("operation"),
                    entity: derive("entity").uuid(),
                }
            }
        }
    }
}
