//! Golden messages: one file per variant, decoded and encoded again without a difference. A reader of today must understand
//! what was written yesterday: change a file only by adding optional fields.

#[cfg(test)]
mod checks {
    use std::path::Path;

    use common::messages::{
        action, application, binding, health, instance, log, operation, reading, registry, schedule, user,
    };
    use common::{Message, Topic, asyncapi};
    use serde_json::Value;

    fn check<M: Message>() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures")
            .join(M::TOPIC.name());
        for kind in variants(M::TOPIC) {
            let path = folder.join(format!("{kind}.json"));
            let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let golden: Value = serde_json::from_str(&text).unwrap();
            let message: M =
                serde_json::from_value(golden.clone()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(serde_json::to_value(&message).unwrap(), golden, "{}", path.display());
            assert!(!message.key().is_empty(), "{}", path.display());
            let mut newer = golden;
            newer["field_of_a_newer_writer"] = Value::from(1);
            assert!(
                serde_json::from_value::<M>(newer).is_ok(),
                "{} with an unknown field",
                path.display()
            );
        }
    }

    fn variants(topic: Topic) -> Vec<String> {
        let schema = asyncapi::schema_of(topic).to_value();
        let options = schema["oneOf"]
            .as_array()
            .unwrap_or_else(|| panic!("{} is no tagged enum: {schema}", topic.name()));
        options
            .iter()
            .map(|option| option["properties"]["type"]["const"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn every_variant_has_a_golden_message() {
        check::<action::ActionEvent>();
        check::<action::ActionRequest>();
        check::<action::DeviceCommand>();
        check::<action::DeviceEvent>();
        check::<application::ApplicationCommand>();
        check::<application::ApplicationEvent>();
        check::<binding::BindingEvent>();
        check::<binding::SessionEvent>();
        check::<health::Heartbeat>();
        check::<health::NodeEvent>();
        check::<health::ServiceEvent>();
        check::<instance::InstanceCommand>();
        check::<instance::InstanceEvent>();
        check::<log::AppLog>();
        check::<log::AuditEntry>();
        check::<operation::OperationEvent>();
        check::<reading::Quarantine>();
        check::<reading::SensorData>();
        check::<registry::RegistryCommand>();
        check::<registry::RegistryEvent>();
        check::<schedule::ScheduleCommand>();
        check::<schedule::ScheduleEvent>();
        check::<user::UserEvent>();
    }
}
