//! Notifications and device commands: `action.requests`, `action.events`, `device.commands`, `device.events`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::manifest::Values;
use crate::{ActionId, DeviceId, InstanceId, Message, OperationId, Timestamp, Topic, UserId};

/// How much a notification matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Someone should look.
    Warning,
    /// Someone must act.
    Critical,
}

/// Who asks for a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Origin {
    /// An application.
    Instance {
        /// The instance.
        instance: InstanceId,
    },
    /// A person in the console.
    User {
        /// The user.
        user: UserId,
        /// Under which the answer is awaited.
        operation: OperationId,
    },
}

/// What applications and users ask for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ActionRequest {
    /// Tell the end user.
    Notify {
        /// Derived from the instance and the idempotency key.
        id: ActionId,
        /// The instance.
        instance: InstanceId,
        /// One line.
        title: String,
        /// The rest.
        text: String,
        /// How much it matters.
        severity: Severity,
        /// When it was asked for.
        at: Timestamp,
    },
    /// Tell every admin how the platform itself is.
    Alert {
        /// Derived from what is told and since when it is so.
        id: ActionId,
        /// One line.
        title: String,
        /// The rest.
        text: String,
        /// How much it matters.
        severity: Severity,
        /// When it was decided.
        at: Timestamp,
    },
    /// Have a device do something.
    Command {
        /// Derived from the instance, the idempotency key and the device.
        id: ActionId,
        /// Who asks.
        origin: Origin,
        /// The device.
        device: DeviceId,
        /// Command of its type.
        command: String,
        /// Arguments.
        arguments: Values,
        /// When it was asked for.
        at: Timestamp,
        /// When it is no longer worth doing.
        expires: Timestamp,
    },
}

/// A notification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Notification {
    /// Identity.
    pub id: ActionId,
    /// The instance that sent it; [`Notification::of_platform`] where it was the platform itself.
    pub instance: InstanceId,
    /// To whom.
    pub owner: UserId,
    /// Title of the application.
    pub application: String,
    /// One line.
    pub title: String,
    /// The rest.
    pub text: String,
    /// How much it matters.
    pub severity: Severity,
    /// When it was asked for.
    pub at: Timestamp,
    /// What became of it, per channel.
    pub deliveries: Vec<Delivery>,
    /// Grows with each change.
    pub version: u64,
}

impl Notification {
    /// Title that stands for an application's where the platform speaks itself.
    pub const PLATFORM: &'static str = "The platform";

    /// The instance that stands for the platform itself; no schedule makes such an id.
    #[must_use]
    pub fn of_platform() -> InstanceId {
        InstanceId::derive(&["platform"])
    }
}

/// What became of a notification on one channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Delivery {
    /// Where it goes.
    pub channel: Channel,
    /// How far it is.
    #[serde(flatten)]
    pub state: DeliveryState,
    /// Tries so far.
    pub attempts: u32,
}

/// Where a notification goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// The console.
    Console,
    /// The user's mail address.
    Mail,
    /// The user's webhook.
    Webhook,
}

/// How far a delivery is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DeliveryState {
    /// It will be tried.
    Pending {
        /// When.
        next_try: Timestamp,
    },
    /// It arrived.
    Delivered {
        /// When.
        at: Timestamp,
    },
    /// It was given up.
    Failed {
        /// Why.
        why: String,
    },
}

/// A device command and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Command {
    /// Identity.
    pub id: ActionId,
    /// Who asked.
    pub origin: Origin,
    /// The device.
    pub device: DeviceId,
    /// Command of its type.
    pub command: String,
    /// Arguments.
    pub arguments: Values,
    /// How far it is.
    #[serde(flatten)]
    pub state: CommandState,
    /// When it was asked for.
    pub at: Timestamp,
    /// When the state was entered.
    pub since: Timestamp,
    /// When it is no longer worth doing.
    pub expires: Timestamp,
    /// Grows with each change.
    pub version: u64,
}

/// How far a command is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum CommandState {
    /// It waits for the device.
    Queued,
    /// The device's connector has it.
    Sent,
    /// The device did it.
    Acknowledged {
        /// What the device said of its state.
        reported: BTreeMap<String, serde_json::Value>,
    },
    /// The device could not do it.
    Failed {
        /// Why.
        why: String,
    },
    /// Nobody did it in time.
    Expired,
}

/// What happened to notifications and commands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ActionEvent {
    /// A notification is new or further.
    Notification {
        /// The whole notification.
        notification: Box<Notification>,
    },
    /// A command is new or further.
    Command {
        /// The whole command.
        command: Box<Command>,
    },
}

/// Commands on their way to a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum DeviceCommand {
    /// Hand it to the device; again until it reports.
    Execute {
        /// Identity.
        id: ActionId,
        /// The device.
        device: DeviceId,
        /// Command of its type.
        command: String,
        /// Arguments.
        arguments: Values,
        /// When it is no longer worth doing.
        expires: Timestamp,
    },
    /// It is over; hand it out no more.
    Forget {
        /// Identity.
        id: ActionId,
        /// The device.
        device: DeviceId,
    },
}

/// What devices answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum DeviceEvent {
    /// The device's connector has the command.
    Sent {
        /// The command.
        command: ActionId,
        /// The device.
        device: DeviceId,
        /// When.
        at: Timestamp,
    },
    /// The device did it.
    Acknowledged {
        /// The command.
        command: ActionId,
        /// The device.
        device: DeviceId,
        /// What the device said of its state.
        reported: BTreeMap<String, serde_json::Value>,
        /// When.
        at: Timestamp,
    },
    /// The device could not do it.
    Failed {
        /// The command.
        command: ActionId,
        /// The device.
        device: DeviceId,
        /// Why.
        why: String,
        /// When.
        at: Timestamp,
    },
}

impl Message for ActionRequest {
    const TOPIC: Topic = Topic::ActionRequests;
    fn key(&self) -> String {
        match self {
            Self::Notify { instance, .. }
            | Self::Command {
                origin: Origin::Instance { instance },
                ..
            } => instance.to_string(),
            Self::Command { device, .. } => device.to_string(),
            Self::Alert { .. } => Notification::of_platform().to_string(),
        }
    }
}

impl Message for ActionEvent {
    const TOPIC: Topic = Topic::ActionEvents;
    fn key(&self) -> String {
        match self {
            Self::Notification { notification } => notification.id.to_string(),
            Self::Command { command } => command.id.to_string(),
        }
    }
}

impl Message for DeviceCommand {
    const TOPIC: Topic = Topic::DeviceCommands;
    fn key(&self) -> String {
        match self {
            Self::Execute { device, .. } | Self::Forget { device, .. } => device.to_string(),
        }
    }
}

impl Message for DeviceEvent {
    const TOPIC: Topic = Topic::DeviceEvents;
    fn key(&self) -> String {
        match self {
            Self::Sent { device, .. } | Self::Acknowledged { device, .. } | Self::Failed { device, .. } => {
                device.to_string()
            }
        }
    }
}
