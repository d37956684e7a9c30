//! Every topic of the platform: the list that ARCHITECTURE.md prints.

use crate::names::ServiceName::{
    self, ActionManager, Agent, ApplicationManager, Deployer, Monitor, Scheduler, SensorManager,
};

/// A topic. The name on the broker is prefixed by the installation's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// What happened to notifications and commands.
    ActionEvents,
    /// Notifications and commands that applications and users ask for.
    ActionRequests,
    /// Lines that applications and image builds print.
    AppLogs,
    /// Reports for the catalogue's owner.
    ApplicationCommands,
    /// The catalogue.
    ApplicationEvents,
    /// Who did what.
    AuditLog,
    /// Slots → sensors, devices.
    BindingEvents,
    /// Commands on their way to a device.
    DeviceCommands,
    /// What devices answered.
    DeviceEvents,
    /// Start, stop.
    InstanceCommands,
    /// Instances and their states.
    InstanceEvents,
    /// Application hosts.
    NodeEvents,
    /// Whether a command of the REST API was carried out or refused.
    OperationEvents,
    /// Changes wanted in the registry.
    RegistryCommands,
    /// Types, locations, connectors, sensors, devices.
    RegistryEvents,
    /// Changes wanted in schedules.
    ScheduleCommands,
    /// Schedules and their occurrences.
    ScheduleEvents,
    /// Readings.
    SensorData,
    /// Readings that did not pass.
    SensorQuarantine,
    /// Health verdicts.
    ServiceEvents,
    /// Signs of life.
    ServiceHeartbeats,
    /// Who holds the session of an instance.
    SessionEvents,
    /// Users.
    UserEvents,
}

/// How long a topic keeps what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// The newest record of each key, for ever.
    Compacted,
    /// Everything for so many hours.
    Hours(u32),
}

/// All about a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicFacts {
    /// Name without the installation's prefix.
    pub name: &'static str,
    /// What the key is, in words.
    pub key: &'static str,
    /// Partitions; never changed on a live topic.
    pub partitions: i32,
    /// Retention.
    pub retention: Retention,
    /// Who writes.
    pub producers: &'static [ServiceName],
    /// Who reads as a consumer group (owned work).
    pub groups: &'static [ServiceName],
    /// Who reads without a group (connection work).
    pub tails: &'static [ServiceName],
}

const WEEK: Retention = Retention::Hours(24 * 7);

impl Topic {
    /// All topics, by name.
    pub const ALL: [Self; 23] = [
        Self::ActionEvents,
        Self::ActionRequests,
        Self::AppLogs,
        Self::ApplicationCommands,
        Self::ApplicationEvents,
        Self::AuditLog,
        Self::BindingEvents,
        Self::DeviceCommands,
        Self::DeviceEvents,
        Self::InstanceCommands,
        Self::InstanceEvents,
        Self::NodeEvents,
        Self::OperationEvents,
        Self::RegistryCommands,
        Self::RegistryEvents,
        Self::ScheduleCommands,
        Self::ScheduleEvents,
        Self::SensorData,
        Self::SensorQuarantine,
        Self::ServiceEvents,
        Self::ServiceHeartbeats,
        Self::SessionEvents,
        Self::UserEvents,
    ];

    /// Returns all about the topic.
    #[must_use]
    pub fn facts(self) -> TopicFacts {
        use Retention::{Compacted, Hours};
        type Names = &'static [ServiceName];
        const AM: Names = &[ApplicationManager];
        const NONE: Names = &[];
        let (name, key, retention, producers, groups, tails): (_, _, _, Names, Names, Names) = match self {
            Self::ActionEvents => ("action.events", "action", Compacted, &[ActionManager], AM, AM),
            Self::ActionRequests => (
                "action.requests",
                "instance (device, platform)",
                WEEK,
                &[ActionManager, ApplicationManager, Monitor],
                &[ActionManager],
                NONE,
            ),
            Self::AppLogs => ("app.logs", "instance or version", Hours(24), &[Deployer, Agent], AM, AM),
            Self::ApplicationCommands => ("application.commands", "application", WEEK, &[Deployer], AM, NONE),
            Self::ApplicationEvents => (
                "application.events",
                "application",
                Compacted,
                AM,
                &[Deployer],
                &[ApplicationManager, Agent],
            ),
            Self::AuditLog => ("audit.log", "actor", Hours(24 * 90), AM, AM, NONE),
            Self::BindingEvents => (
                "binding.events",
                "instance",
                Compacted,
                &[SensorManager],
                &[Deployer],
                &[ActionManager, ApplicationManager],
            ),
            Self::DeviceCommands => (
                "device.commands",
                "device",
                WEEK,
                &[ActionManager],
                NONE,
                &[SensorManager],
            ),
            Self::DeviceEvents => (
                "device.events",
                "device",
                WEEK,
                &[SensorManager],
                &[ActionManager],
                &[SensorManager],
            ),
            Self::InstanceCommands => (
                "instance.commands",
                "instance",
                WEEK,
                &[Scheduler, ApplicationManager],
                &[Deployer, SensorManager],
                NONE,
            ),
            Self::InstanceEvents => (
                "instance.events",
                "instance",
                Compacted,
                &[Deployer],
                &[Scheduler, SensorManager],
                &[Scheduler, ActionManager, ApplicationManager],
            ),
            Self::NodeEvents => (
                "node.events",
                "node",
                Compacted,
                &[Agent],
                NONE,
                &[Monitor, ApplicationManager],
            ),
            Self::OperationEvents => (
                "operation.events",
                "operation",
                Hours(24),
                &[Scheduler, SensorManager, Deployer, ActionManager],
                NONE,
                AM,
            ),
            Self::RegistryCommands => ("registry.commands", "one for all", WEEK, AM, &[SensorManager], NONE),
            Self::RegistryEvents => (
                "registry.events",
                "entity",
                Compacted,
                &[SensorManager],
                NONE,
                &[SensorManager, ActionManager, ApplicationManager],
            ),
            Self::ScheduleCommands => ("schedule.commands", "schedule", WEEK, AM, &[Scheduler], NONE),
            Self::ScheduleEvents => ("schedule.events", "schedule", Compacted, &[Scheduler], NONE, AM),
            Self::SensorData => (
                "sensor.data",
                "sensor",
                Hours(48),
                &[SensorManager],
                &[SensorManager],
                &[SensorManager, ApplicationManager],
            ),
            Self::SensorQuarantine => ("sensor.quarantine", "sensor", WEEK, &[SensorManager], AM, NONE),
            Self::ServiceEvents => ("service.events", "service copy", Compacted, &[Monitor], NONE, AM),
            Self::ServiceHeartbeats => (
                "service.heartbeats",
                "one for all",
                Hours(1),
                &ServiceName::ALL,
                NONE,
                &[Monitor, ApplicationManager, Agent],
            ),
            Self::SessionEvents => (
                "session.events",
                "instance/shard",
                Compacted,
                &[SensorManager],
                NONE,
                &[ActionManager],
            ),
            Self::UserEvents => (
                "user.events",
                "user",
                Compacted,
                AM,
                NONE,
                &[ActionManager, ApplicationManager],
            ),
        };
        let partitions = if self == Self::SensorData { 12 } else { 6 };
        TopicFacts {
            name,
            key,
            partitions,
            retention,
            producers,
            groups,
            tails,
        }
    }

    /// Returns the name without prefix.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// Returns the topic of that name (without prefix).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.name() == name)
    }

    /// Whether an unknown variant is skipped (events: an older reader) or goes to the dead-letter topic (commands).
    #[must_use]
    pub fn skips_unknown(self) -> bool {
        !matches!(
            self,
            Self::ApplicationCommands
                | Self::DeviceCommands
                | Self::InstanceCommands
                | Self::RegistryCommands
                | Self::ScheduleCommands
                | Self::ActionRequests
        )
    }

    /// Returns the table of topics as Markdown, for ARCHITECTURE.md.
    #[must_use]
    pub fn table() -> String {
        let names = |list: &[ServiceName]| match list.len() {
            7 => "all".to_owned(),
            _ => list.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", "),
        };
        let mut table = String::from(
            "| Topic | Key | Partitions | Kept | Producers | Consumer groups | Tails |\n|---|---|---|---|---|---|---|\n",
        );
        for topic in Self::ALL {
            let facts = topic.facts();
            let kept = match facts.retention {
                Retention::Compacted => "newest of each key".to_owned(),
                Retention::Hours(hours) => format!("{hours} h"),
            };
            table.push_str(&format!(
                "| {} | {} | {} | {} | {} | {} | {} |\n",
                facts.name,
                facts.key,
                facts.partitions,
                kept,
                names(facts.producers),
                names(facts.groups),
                names(facts.tails)
            ));
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found_again() {
        for topic in Topic::ALL {
            assert_eq!(Topic::from_name(topic.name()), Some(topic));
        }
    }

    #[test]
    fn the_architecture_prints_this_table() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../ARCHITECTURE.md")).unwrap();
        assert!(
            page.contains(&Topic::table()),
            "put this into ARCHITECTURE.md:\n{}",
            Topic::table()
        );
    }
}
