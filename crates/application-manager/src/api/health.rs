//! `/api/v1/health`: services and hosts.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use common::Timestamp;
use common::messages::health::{Component, ComponentHealth, HealthState, Heartbeat, Node, Recovery};
use common::messages::user::Role;
use common::names::ServiceName;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiError;
use crate::access::Caller;
use crate::app::App;
use crate::view::View;

/// For how long a report speaks for a host that is not judged: the monitor's verdict on a new one comes within seconds.
const REPORT_MILLIS: i64 = 60_000;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(health))
}

/// A copy of a service as clients see it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct ServiceView {
    /// The service.
    service: ServiceName,
    /// The host.
    host: String,
    /// The monitor's verdict; none while there is none.
    state: Option<HealthState>,
    /// Why, in words.
    cause: String,
    /// Since when.
    since: Option<Timestamp>,
    /// Version of the program.
    program_version: Option<String>,
    /// Process id.
    pid: Option<u32>,
    /// When the process started.
    started: Option<Timestamp>,
    /// Resident memory in bytes.
    rss_bytes: Option<u64>,
    /// Messages that went to dead-letter topics since the start.
    dead_letters: u64,
    /// Messages that it has still to handle.
    lag: u64,
    /// Newest heartbeat.
    last_beat: Option<Timestamp>,
}

/// Renders a copy of a service.
pub(crate) fn show_service(view: &View, copy: &str) -> Option<ServiceView> {
    let health = view.services.get(copy);
    let beat = view.beats.get(copy);
    let who = match (health, beat) {
        (Some(health), _) => &health.copy,
        (None, Some(Heartbeat::Beat { copy, .. } | Heartbeat::Farewell { copy, .. })) => copy,
        (None, None) => return None,
    };
    let mut service = ServiceView {
        service: who.service,
        host: who.host.clone(),
        state: health.map(|health| health.state),
        cause: health.map(|health| health.cause.clone()).unwrap_or_default(),
        since: health.map(|health| health.since),
        program_version: None,
        pid: None,
        started: None,
        rss_bytes: None,
        dead_letters: 0,
        lag: 0,
        last_beat: None,
    };
    match beat {
        Some(Heartbeat::Beat {
            version,
            pid,
            started,
            rss_bytes,
            dead_letters,
            lag,
            at,
            ..
        }) => {
            service.program_version = Some(version.clone());
            service.pid = Some(*pid);
            service.started = Some(*started);
            service.rss_bytes = Some(*rss_bytes);
            service.dead_letters = *dead_letters;
            service.lag = *lag;
            service.last_beat = Some(*at);
        }
        Some(Heartbeat::Farewell { at, .. }) => service.last_beat = Some(*at),
        None => {}
    }
    Some(service)
}

/// How the platform is.
#[derive(Debug, Serialize, ToSchema)]
struct HealthView {
    /// Copies of services.
    services: Vec<ServiceView>,
    /// Hosts of applications.
    hosts: Vec<Node>,
    /// Verdicts on hosts, Kafka and MongoDB.
    components: Vec<ComponentHealth>,
    /// Services that the monitor started in the place of those on lost hosts, and what became of them; newest first.
    recoveries: Vec<Recovery>,
    /// Messages that went to dead-letter topics since the services started.
    dead_letters: u64,
}

/// Whether a host that reported at a moment is one of ours: one that has left is not judged any more, and its last report grows old.
fn belongs(view: &View, host: &str, at: Timestamp) -> bool {
    let judged = view.components.contains_key(&Component::Host { name: host.to_owned() });
    judged || Timestamp::now().millis_since(at) < REPORT_MILLIS
}

/// Says how services and hosts are.
#[utoipa::path(get, path = "/api/v1/health", tag = "admin", responses((status = 200, body = HealthView)))]
async fn health(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<HealthView>, ApiError> {
    caller.must_be(Role::Admin)?;
    let view = app.view.read();
    let copies: BTreeSet<&String> = view.services.keys().chain(view.beats.keys()).collect();
    let services: Vec<ServiceView> = copies
        .into_iter()
        .filter_map(|copy| show_service(&view, copy))
        .collect();
    Ok(Json(HealthView {
        dead_letters: services.iter().map(|service| service.dead_letters).sum(),
        services,
        hosts: view
            .nodes
            .values()
            .filter(|node| belongs(&view, node.host_name(), node.at))
            .cloned()
            .collect(),
        components: view.components.values().cloned().collect(),
        recoveries: {
            let mut recoveries: Vec<Recovery> = view.recoveries.values().cloned().collect();
            recoveries.sort_by_key(|recovery| std::cmp::Reverse(recovery.since));
            recoveries
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_has_left_is_not_shown() {
        let reported = |millis_ago: i64| Timestamp::now().plus_millis(-millis_ago);
        let mut view = View::default();
        assert!(belongs(&view, "one", reported(1000)), "its verdict is on its way");
        assert!(!belongs(&view, "one", reported(600_000)));
        let component = Component::Host { name: "one".to_owned() };
        let health = ComponentHealth {
            component: component.clone(),
            state: HealthState::Down,
            cause: "no report".to_owned(),
            since: Timestamp::now(),
            version: 1,
        };
        view.components.insert(component, health);
        assert!(belongs(&view, "one", reported(600_000)), "it is missed");
    }
}
