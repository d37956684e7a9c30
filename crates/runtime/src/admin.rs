//! The admin port on loopback: liveness, readiness, metrics.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;

use crate::health::Health;

/// Samples are folded together this often, whether or not anybody reads them: until then each takes memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener, health: Health, metrics: PrometheusHandle) -> anyhow::Result<()> {
    let upkeep = async {
        let mut pause = tokio::time::interval(UPKEEP);
        loop {
            pause.tick().await;
            metrics.run_upkeep();
        }
    };
    tokio::select! {
        served = axum::serve(listener, router(health, metrics.clone())) => Ok(served?),
        never = upkeep => never,
    }
}

fn router(health: Health, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/health/live", get(|| async { "live\n" }))
        .route(
            "/health/ready",
            get(move || async move {
                let waiting_for = health.waiting_for();
                let status = if waiting_for.is_empty() {
                    StatusCode::OK
                } else {
                    StatusCode::SERVICE_UNAVAILABLE
                };
                (
                    status,
                    Json(serde_json::json!({ "ready": waiting_for.is_empty(), "waiting_for": waiting_for })),
                )
                    .into_response()
            }),
        )
        .route("/metrics", get(move || async move { metrics.render() }))
}
