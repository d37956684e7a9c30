//! `/api/v1/tokens`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use common::{ApiTokenId, Timestamp};
use runtime::Change;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::page::{Page, Paging, by_name, page};
use super::{ApiError, Args, At, Body};
use crate::access::{ApiToken, Caller, new_secret, sha256_hex};
use crate::app::App;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list_tokens, create_token))
        .routes(routes!(delete_token))
}

/// An API token as its owner sees it.
#[derive(Debug, Serialize, ToSchema)]
struct TokenView {
    /// Identity.
    id: ApiTokenId,
    /// What it is for.
    name: String,
    /// When it was made.
    created: Timestamp,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
}

/// A token that was made.
#[derive(Debug, Serialize, ToSchema)]
struct CreatedToken {
    /// The token's facts.
    #[serde(flatten)]
    facts: TokenView,
    /// The token itself; shown once. Send it as `Authorization: Bearer …`.
    token: String,
}

/// A new token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewToken {
    /// What it is for.
    name: String,
    /// Days until it ends, 1 to 3650; absent: it does not end.
    expires_days: Option<u32>,
}

fn show_token(token: &ApiToken) -> TokenView {
    TokenView {
        id: token.id,
        name: token.name.clone(),
        created: token.created,
        expires: token.expires,
    }
}

/// Lists the own API tokens.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "users", params(Paging), responses((status = 200, body = Page<TokenView>)))]
async fn list_tokens(
    State(app): State<Arc<App>>,
    caller: Caller,
    Args(paging): Args<Paging>,
) -> Result<Json<Page<TokenView>>, ApiError> {
    let tokens = app.accounts.tokens.list(&[("user", &caller.id.to_string())]).await?;
    let entries = tokens
        .iter()
        .map(|stored| (by_name(&stored.entity.name, stored.entity.id), &stored.entity))
        .collect();
    Ok(Json(page(entries, &paging, show_token)))
}

/// Makes an API token with the rights of the caller.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "users", request_body = NewToken, responses((status = 201, body = CreatedToken)))]
async fn create_token(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(new): Body<NewToken>,
) -> Result<(StatusCode, Json<CreatedToken>), ApiError> {
    let name = super::text::line("name", &new.name, 100)?;
    if let Some(days) = new.expires_days.filter(|days| !(1..=3650).contains(days)) {
        return Err(ApiError::misfit("expires_days", days, "1 to 3650"));
    }
    let now = Timestamp::now();
    let secret = format!("iot_{}", new_secret());
    let token = ApiToken {
        id: ApiTokenId::new(),
        name,
        account: caller.name.clone(),
        user: caller.id,
        created: now,
        expires: new
            .expires_days
            .map(|days| now.plus_millis(i64::from(days) * 86_400_000)),
    };
    app.accounts
        .tokens
        .apply(&sha256_hex(&secret), None, |_, _| {
            Ok::<_, ApiError>(Change::Put {
                entity: token.clone(),
                records: Vec::new(),
            })
        })
        .await?;
    let body = CreatedToken {
        facts: show_token(&token),
        token: secret,
    };
    Ok((StatusCode::CREATED, Json(body)))
}

/// Ends an own API token.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "users", params(("id" = ApiTokenId, Path)), responses((status = 204)))]
async fn delete_token(
    State(app): State<Arc<App>>,
    caller: Caller,
    At(id): At<ApiTokenId>,
) -> Result<StatusCode, ApiError> {
    let tokens = app.accounts.tokens.list(&[("user", &caller.id.to_string())]).await?;
    let stored = tokens
        .into_iter()
        .find(|stored| stored.entity.id == id)
        .ok_or_else(|| ApiError::not_found("token"))?;
    app.accounts.end_token(&stored.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
