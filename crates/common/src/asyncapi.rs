//! The AsyncAPI 3 document of the bus, generated from the types. `docs/asyncapi.json` is a copy; a test compares them.

use schemars::{Schema, schema_for};
use serde_json::{Map, Value, json};

use crate::Topic;
use crate::messages::{
    action, application, binding, health, instance, log, operation, reading, registry, schedule, user,
};
use crate::names::ServiceName;
use crate::topic::Retention;

/// Returns the JSON Schema of what travels on a topic.
#[must_use]
pub fn schema_of(topic: Topic) -> Schema {
    match topic {
        Topic::ActionEvents => schema_for!(action::ActionEvent),
        Topic::ActionRequests => schema_for!(action::ActionRequest),
        Topic::AppLogs => schema_for!(log::AppLog),
        Topic::ApplicationCommands => schema_for!(application::ApplicationCommand),
        Topic::ApplicationEvents => schema_for!(application::ApplicationEvent),
        Topic::AuditLog => schema_for!(log::AuditEntry),
        Topic::BindingEvents => schema_for!(binding::BindingEvent),
        Topic::DeviceCommands => schema_for!(action::DeviceCommand),
        Topic::DeviceEvents => schema_for!(action::DeviceEvent),
        Topic::InstanceCommands => schema_for!(instance::InstanceCommand),
        Topic::InstanceEvents => schema_for!(instance::InstanceEvent),
        Topic::NodeEvents => schema_for!(health::NodeEvent),
        Topic::OperationEvents => schema_for!(operation::OperationEvent),
        Topic::RegistryCommands => schema_for!(registry::RegistryCommand),
        Topic::RegistryEvents => schema_for!(registry::RegistryEvent),
        Topic::ScheduleCommands => schema_for!(schedule::ScheduleCommand),
        Topic::ScheduleEvents => schema_for!(schedule::ScheduleEvent),
        Topic::SensorData => schema_for!(reading::SensorData),
        Topic::SensorQuarantine => schema_for!(reading::Quarantine),
        Topic::ServiceEvents => schema_for!(health::ServiceEvent),
        Topic::ServiceHeartbeats => schema_for!(health::Heartbeat),
        Topic::SessionEvents => schema_for!(binding::SessionEvent),
        Topic::UserEvents => schema_for!(user::UserEvent),
    }
}

/// Returns the document.
#[must_use]
pub fn document() -> Value {
    let mut channels = Map::new();
    let mut operations = Map::new();
    let mut messages = Map::new();
    for topic in Topic::ALL {
        let facts = topic.facts();
        let id = facts.name.replace('.', "-");
        let configuration = match facts.retention {
            Retention::Compacted => json!({ "cleanup.policy": ["compact"] }),
            Retention::Hours(hours) => {
                json!({ "cleanup.policy": ["delete"], "retention.ms": u64::from(hours) * 3_600_000 })
            }
        };
        channels.insert(
            id.clone(),
            json!({
                "address": format!("{{name}}.{}", facts.name),
                "parameters": { "name": { "description": "name of the installation", "default": "iot" } },
                "messages": { &id: { "$ref": format!("#/components/messages/{id}") } },
                "bindings": { "kafka": { "partitions": facts.partitions, "topicConfiguration": configuration, "bindingVersion": "0.5.0" } },
            }),
        );
        messages.insert(
            id.clone(),
            json!({
                "contentType": "application/json",
                "headers": { "$ref": "#/components/schemas/CloudEventsHeaders" },
                "payload": schema_of(topic),
                "bindings": { "kafka": { "key": { "type": "string", "description": facts.key }, "bindingVersion": "0.5.0" } },
            }),
        );
        let mut add = |service: &ServiceName, action: &str, how: &str| {
            operations.insert(
                format!("{service}-{how}-{id}"),
                json!({ "action": action, "channel": { "$ref": format!("#/channels/{id}") }, "tags": [{ "name": service.as_str() }] }),
            );
        };
        facts.producers.iter().for_each(|service| add(service, "send", "sends"));
        facts
            .groups
            .iter()
            .for_each(|service| add(service, "receive", "consumes"));
        facts.tails.iter().for_each(|service| add(service, "receive", "tails"));
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Distributed platform for IoT applications: the bus",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "JSON in Kafka, CloudEvents 1.0 binary mode. Generated from the types; see ARCHITECTURE.md.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": { "CloudEventsHeaders": {
                "type": "object",
                "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time"],
                "properties": {
                    "ce_specversion": { "const": "1.0" },
                    "ce_id": { "type": "string", "format": "uuid" },
                    "ce_source": { "type": "string" },
                    "ce_type": { "type": "string" },
                    "ce_time": { "type": "string", "format": "date-time" },
                    "ce_cause": { "type": "string", "format": "uuid" },
                    "traceparent": { "type": "string" },
                },
            } },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docs_hold_this_document() {
        let text = serde_json::to_string_pretty(&document()).unwrap() + "\n";
        crate::docs::compare("asyncapi.json", &text);
    }
}
