//! `/api/v1/events`: one stream per browser, of what the person may see.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use common::Timestamp;
use common::messages::action::Origin;
use common::messages::log::AppLog;
use common::messages::registry::{Entry, EntryId};
use common::messages::user::Role;
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::registry::{connectors, devices, locations, sensors, types};
use super::{ApiError, Args, actions, applications, health, instances, operations, schedules, users};
use crate::access::Caller;
use crate::app::App;
use crate::hub::{Channel, Event, MOST_CHANNELS, Signal};
use crate::rights::{self, Actor, Sight};
use crate::view::View;

/// A comment is sent after so much silence, so that proxies keep the stream and both ends notice when it is gone.
const HEARTBEAT: Duration = Duration::from_secs(15);

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(events))
}

/// What to watch.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Watch {
    /// Comma separated: `instances`, `applications`, `schedules`, `notifications`, `health`, `registry`, `users`, `operations`,
    /// `readings:<sensor id>`, `logs:<instance id>`, `build:<version id>`, `commands:<device or instance id>`.
    topics: String,
}

/// What each event's data is.
#[derive(Debug, Serialize, ToSchema)]
struct LiveEvent {
    /// The topic as it was asked for; `hello` at the start of a stream.
    topic: String,
    /// The same body that the route of the thing answers, or `{id, deleted: true}`.
    #[schema(value_type = Object)]
    data: Value,
}

/// Watches topics as server-sent events. A reader that is too slow is cut off, comes back by itself and reads lists anew.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(Watch),
    responses((status = 200, body = LiveEvent, content_type = "text/event-stream")))]
async fn events(State(app): State<Arc<App>>, caller: Caller, Args(watch): Args<Watch>) -> Result<Response, ApiError> {
    let channels = watch
        .topics
        .split(',')
        .map(str::trim)
        .filter(|topic| !topic.is_empty())
        .map(str::parse)
        .collect::<Result<Vec<Channel>, String>>()
        .map_err(ApiError::bad_request)?;
    if channels.is_empty() || channels.len() > MOST_CHANNELS {
        return Err(ApiError::bad_request(format!(
            "1 to {MOST_CHANNELS} topics can be watched"
        )));
    }
    let stream = Sse::new(follow(app, caller.0, channels)).keep_alive(beats());
    let mut response = stream.into_response();
    response
        .headers_mut()
        .insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// Browsers do not show comments to programs; a message tells that the stream lives, when a host that is gone would say nothing.
fn beats() -> KeepAlive {
    let beat = json!({ "topic": "beat", "data": null }).to_string();
    KeepAlive::new()
        .interval(HEARTBEAT)
        .event(SseEvent::default().data(beat))
}

fn follow(app: Arc<App>, actor: Actor, channels: Vec<Channel>) -> impl Stream<Item = Result<SseEvent, Infallible>> {
    let subscription = app.hub.subscribe(channels);
    let hello = event(0, "hello".to_owned(), &json!({ "at": Timestamp::now() }));
    futures_util::stream::unfold((app, actor, subscription, Some(hello)), async |mut state| {
        if let Some(hello) = state.3.take() {
            return Some((Ok(hello), state));
        }
        loop {
            let Event {
                number,
                channel,
                signal,
            } = state.2.next().await?;
            state.1 = current(&state.0, &state.1)?;
            if let Some(data) = render(&state.0, &state.1, &channel, &signal).await {
                return Some((Ok(event(number, channel.to_string(), &data)), state));
            }
        }
    })
}

/// Roles may have changed since the stream began; who is disabled or deleted is cut off.
fn current(app: &App, actor: &Actor) -> Option<Actor> {
    let view = app.view.read();
    view.users.get(&actor.id).filter(|user| !user.disabled).map(Actor::of)
}

fn event(number: u64, topic: String, data: &Value) -> SseEvent {
    let text = json!({ "topic": topic, "data": data }).to_string();
    SseEvent::default().id(number.to_string()).data(text)
}

fn json_of<T: Serialize>(value: &T) -> Option<Value> {
    serde_json::to_value(value).ok()
}

fn deleted(id: impl std::fmt::Display) -> Value {
    json!({ "id": id.to_string(), "deleted": true })
}

/// Renders a signal for someone; `None`: not for this person.
async fn render(app: &App, actor: &Actor, channel: &Channel, signal: &Signal) -> Option<Value> {
    if let Signal::Operation(id) = signal {
        let (operation, outcome) = app.operations.get(*id).await.ok()??;
        return (operation.user == actor.id).then(|| json_of(&operations::show(operation, outcome)))?;
    }
    render_now(app, actor, channel, signal)
}

fn render_now(app: &App, actor: &Actor, channel: &Channel, signal: &Signal) -> Option<Value> {
    let view = app.view.read();
    match signal {
        Signal::Operation(_) => None,
        Signal::User(id) => {
            let user = view.users.get(id);
            match user {
                Some(user) if actor.is_admin() || actor.id == *id => json_of(&users::show(user)),
                None if actor.is_admin() => Some(deleted(id)),
                _ => None,
            }
        }
        Signal::Application(id) => match view.applications.get(id) {
            None => Some(deleted(id)),
            Some(application) if rights::sees_application(actor, application) => {
                json_of(&applications::show(&view, actor, application))
            }
            // It may have been seen before.
            Some(_) => Some(deleted(id)),
        },
        Signal::Schedule(id) => match view.schedules.get(id) {
            None => Some(deleted(id)),
            Some(schedule) => schedules::sees(actor, schedule).then(|| json_of(&schedules::show(&view, schedule)))?,
        },
        Signal::Instance(id) => match view.instances.get(id) {
            None => Some(deleted(id)),
            Some(instance) => {
                let sight = instances::sight_of(actor, instance)?;
                json_of(&instances::show(&view, sight, instance))
            }
        },
        Signal::Registry(id) => entry(app, &view, actor, id),
        Signal::Service(copy) => actor.is_admin().then(|| {
            health::show_service(&view, copy).map_or_else(
                || Some(deleted(copy)),
                |service| json_of(&json!({ "service": service })),
            )
        })?,
        Signal::Node(name) => actor.is_admin().then(|| {
            view.nodes
                .get(name)
                .map_or_else(|| Some(deleted(name)), |node| json_of(&json!({ "host": node })))
        })?,
        Signal::Notification(notification) => {
            (notification.owner == actor.id).then(|| json_of(&actions::show_notification(&view, notification)))?
        }
        Signal::Command(command) => {
            let by_place = view
                .devices
                .get(&command.device)
                .is_some_and(|device| view.right(actor, device.location).is_some());
            let by_instance = match &command.origin {
                Origin::Instance { instance } => sees_all(&view, actor, *instance),
                Origin::User { user, .. } => *user == actor.id,
            };
            // The channel says what the person looks at: a device, or an instance that is theirs.
            let of_device = *channel == Channel::Commands(command.device.uuid());
            (by_instance || (of_device && by_place)).then(|| json_of(&actions::show_command(&view, command)))?
        }
        Signal::Reading(reading) => may_read(&view, actor, reading.sensor)
            .then(|| json!({ "sensor": reading.sensor, "time": reading.time, "values": reading.values })),
        Signal::Lines(lines) => show_lines(&view, actor, lines),
    }
}

fn sees_all(view: &View, actor: &Actor, id: common::InstanceId) -> bool {
    view.instances
        .get(&id)
        .and_then(|instance| instances::sight_of(actor, instance))
        == Some(Sight::All)
}

/// Readings are for those who have a right at the place.
fn may_read(view: &View, actor: &Actor, id: common::SensorId) -> bool {
    view.sensors
        .get(&id)
        .is_some_and(|sensor| view.right(actor, sensor.location).is_some())
}

fn show_lines(view: &View, actor: &Actor, lines: &AppLog) -> Option<Value> {
    let (allowed, container, lines) = match lines {
        AppLog::Instance {
            instance,
            container,
            lines,
        } => {
            let sight = view
                .instances
                .get(instance)
                .and_then(|found| instances::sight_of(actor, found));
            (sight.is_some(), container.as_str(), lines)
        }
        AppLog::Build { version, lines } => {
            let application = view
                .applications
                .values()
                .find(|application| application.versions.iter().any(|known| known.id == *version));
            let allowed = application.is_some_and(|application| rights::changes_application(actor, application));
            (allowed, "build", lines)
        }
    };
    allowed.then(|| json!({ "container": container, "lines": lines }))
}

fn entry(app: &App, view: &View, actor: &Actor, id: &EntryId) -> Option<Value> {
    let Some(entry) = view.entry(id) else {
        return Some(json!({ "entry": id, "deleted": true }));
    };
    let seen = |location| view.right(actor, location).is_some();
    let (kind, body) = match &entry {
        Entry::Type(facts) => ("type", json_of(&types::show(view, facts))?),
        Entry::Location(location) => (
            "location",
            seen(location.id).then(|| json_of(&locations::show(view, actor, location)))??,
        ),
        Entry::Connector(connector) => {
            let managed = actor.is(Role::SensorOwner) && view.manages(actor, connector.location);
            (
                "connector",
                managed.then(|| json_of(&connectors::show(app, view, connector)))??,
            )
        }
        Entry::Sensor(sensor) => {
            let now = Timestamp::now();
            (
                "sensor",
                seen(sensor.location).then(|| json_of(&sensors::show(view, &app.live, actor, sensor, now)))??,
            )
        }
        Entry::Device(device) => (
            "device",
            seen(device.location).then(|| json_of(&devices::show(view, &app.live, actor, device)))??,
        ),
    };
    Some(json!({ "entry": id, kind: body }))
}
