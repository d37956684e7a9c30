//! What the platform's MQTT topics mean. Pure.

use common::{ActionId, DeviceId, SensorId};

/// Where a publish goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// Readings of a sensor.
    Readings(SensorId),
    /// What a device says of a command.
    Report(DeviceId, ActionId),
}

/// Reads the topic of a publish.
///
/// # Errors
/// When it is none of the platform's; the text says what is allowed.
pub(crate) fn target(topic: &str) -> Result<Target, String> {
    let parts: Vec<&str> = topic.split('/').take(7).collect();
    let found = match parts[..] {
        ["v1", "sensors", sensor, "readings"] => sensor.parse().ok().map(Target::Readings),
        ["v1", "devices", device, "commands", command, "state"] => {
            let ids = (device.parse(), command.parse());
            if let (Ok(device), Ok(command)) = ids {
                Some(Target::Report(device, command))
            } else {
                None
            }
        }
        _ => None,
    };
    found.ok_or_else(|| {
        let shown: String = topic.chars().take(100).collect();
        format!(
            "nothing may be published on `{shown}`; allowed are v1/sensors/<sensor id>/readings and v1/devices/<device id>/commands/<command id>/state"
        )
    })
}

/// Reads the filter of a subscription: the commands of one device.
pub(crate) fn commands_of(filter: &str) -> Option<DeviceId> {
    let device = filter.strip_prefix("v1/devices/")?.strip_suffix("/commands")?;
    device.parse().ok()
}

/// Returns the topic of a device's commands.
pub(crate) fn commands(device: DeviceId) -> String {
    format!("v1/devices/{device}/commands")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics() {
        let (sensor, device, command) = (SensorId::new(), DeviceId::new(), ActionId::new());
        assert_eq!(
            target(&format!("v1/sensors/{sensor}/readings")),
            Ok(Target::Readings(sensor))
        );
        let state = format!("v1/devices/{device}/commands/{command}/state");
        assert_eq!(target(&state), Ok(Target::Report(device, command)));
        assert_eq!(commands_of(&commands(device)), Some(device));
        for bad in [
            String::new(),
            "v1/sensors/5/readings".to_owned(),
            format!("v2/sensors/{sensor}/readings"),
            format!("v1/sensors/{sensor}/readings/"),
            format!("v1/sensors/{sensor}"),
            format!("v1/devices/{device}/commands/{command}"),
            format!("v1/devices/{device}/commands/{command}/state/x"),
            "$SYS/x".to_owned(),
            "/".repeat(70_000),
        ] {
            let error = target(&bad).unwrap_err();
            assert!(error.contains("allowed are") && error.len() < 400, "{error}");
        }
        for bad in [
            "#",
            "v1/devices/+/commands",
            "v1/devices/x/commands",
            "v1/devices//commands",
        ] {
            assert_eq!(commands_of(bad), None, "{bad}");
        }
    }
}
