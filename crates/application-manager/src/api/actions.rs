//! Notifications and commands as clients see them; `/api/v1/notifications`.

use std::sync::Arc;

use anyhow::Context as _;
use axum::Json;
use axum::extract::State;
use common::manifest::Values;
use common::messages::action::{Command, CommandState, Delivery, Notification, Origin, Severity};
use common::{ActionId, InstanceId, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::names::NamedRef;
use super::page::{Page, Paging};
use super::{ApiError, Args};
use crate::access::Caller;
use crate::app::App;
use crate::archive::Shelf;
use crate::view::View;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(notifications))
}

/// A notification as clients see it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct NotificationView {
    /// Identity.
    id: ActionId,
    /// The instance that sent it; none: the platform itself did.
    instance: Option<NamedRef>,
    /// Title of the application.
    application: String,
    /// One line.
    title: String,
    /// The rest.
    text: String,
    /// How much it matters.
    severity: Severity,
    /// When it was asked for.
    at: Timestamp,
    /// What became of it, per channel.
    deliveries: Vec<Delivery>,
}

/// Renders a notification.
pub(crate) fn show_notification(view: &View, notification: &Notification) -> NotificationView {
    NotificationView {
        id: notification.id,
        instance: (notification.instance != Notification::of_platform())
            .then(|| view.instance_ref(notification.instance)),
        application: notification.application.clone(),
        title: notification.title.clone(),
        text: notification.text.clone(),
        severity: notification.severity,
        at: notification.at,
        deliveries: notification.deliveries.clone(),
    }
}

/// A command as clients see it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct CommandView {
    /// Identity.
    id: ActionId,
    /// The device.
    device: NamedRef,
    /// Who asked: a person, or the name of a run.
    by: String,
    /// The instance that asked, when it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<InstanceId>,
    /// Command of the device's type.
    command: String,
    /// What people see.
    title: String,
    /// Arguments.
    #[schema(value_type = Object)]
    arguments: Values,
    /// How far it is.
    #[serde(flatten)]
    state: CommandState,
    /// When it was asked for.
    at: Timestamp,
    /// When the state was entered.
    since: Timestamp,
    /// When it is no longer worth doing.
    expires: Timestamp,
}

/// Renders a command.
pub(crate) fn show_command(view: &View, command: &Command) -> CommandView {
    let (by, instance) = match &command.origin {
        Origin::User { user, .. } => (view.person(*user).title, None),
        Origin::Instance { instance } => (view.instance_ref(*instance).name, Some(*instance)),
    };
    let spec = view
        .devices
        .get(&command.device)
        .and_then(|device| view.types.get(&device.type_name))
        .and_then(|facts| facts.commands.get(&command.command));
    CommandView {
        id: command.id,
        device: view.device_ref(command.device),
        by,
        instance,
        command: command.command.clone(),
        title: spec
            .and_then(|spec| spec.title.clone())
            .unwrap_or_else(|| command.command.clone()),
        arguments: command.arguments.clone(),
        state: command.state.clone(),
        at: command.at,
        since: command.since,
        expires: command.expires,
    }
}

/// Returns a page of a shelf, newest first.
///
/// # Errors
/// When MongoDB does not answer.
pub(crate) async fn shelf_page<T: DeserializeOwned>(
    app: &App,
    shelf: Shelf,
    filter: &[(&'static str, String)],
    paging: &Paging,
) -> Result<Page<T>, ApiError> {
    let limit = paging.limit();
    let mut rows = app
        .archive
        .list(shelf, filter, paging.after.as_deref(), limit + 1)
        .await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(crate::archive::Row::place);
    let items = rows
        .iter()
        .map(|row| serde_json::from_str(&row.body).with_context(|| format!("{} in {}", row.id, shelf.collection())))
        .collect::<Result<_, _>>()?;
    Ok(Page { items, next })
}

/// Returns notifications with a value in a field, newest first.
///
/// # Errors
/// When MongoDB does not answer.
pub(crate) async fn notifications_page(
    app: &App,
    field: &'static str,
    value: String,
    paging: &Paging,
) -> Result<Page<NotificationView>, ApiError> {
    let found = shelf_page::<Notification>(app, Shelf::Notifications, &[(field, value)], paging).await?;
    let view = app.view.read();
    Ok(Page {
        items: found
            .items
            .iter()
            .map(|entry| show_notification(&view, entry))
            .collect(),
        next: found.next,
    })
}

/// Returns commands with a value in a field, newest first.
///
/// # Errors
/// When MongoDB does not answer.
pub(crate) async fn commands_page(
    app: &App,
    field: &'static str,
    value: String,
    paging: &Paging,
) -> Result<Page<CommandView>, ApiError> {
    let found = shelf_page::<Command>(app, Shelf::Commands, &[(field, value)], paging).await?;
    let view = app.view.read();
    Ok(Page {
        items: found.items.iter().map(|entry| show_command(&view, entry)).collect(),
        next: found.next,
    })
}

/// Lists the own notifications, newest first.
#[utoipa::path(get, path = "/api/v1/notifications", tag = "instances", params(Paging), responses((status = 200, body = Page<NotificationView>)))]
async fn notifications(
    State(app): State<Arc<App>>,
    caller: Caller,
    Args(paging): Args<Paging>,
) -> Result<Json<Page<NotificationView>>, ApiError> {
    Ok(Json(
        notifications_page(&app, "owner", caller.id.to_string(), &paging).await?,
    ))
}
