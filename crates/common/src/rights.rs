//! What each service may do in Kafka and in MongoDB: derived from the table of topics and from who owns which collections.

use std::collections::BTreeSet;

use crate::bulk::{BUNDLES_BUCKET, HISTORY_COLLECTION};
use crate::names::ServiceName::{self, Agent, ApplicationManager, Deployer, SensorManager};
use crate::topic::Topic;

/// The account that may do everything in both: `bootstrap`'s own, for accounts, backups and tests.
pub const ADMIN_ACCOUNT: &str = "admin";

/// A name, or how names begin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pattern {
    /// Exactly this.
    Exactly(String),
    /// Everything that begins so.
    Prefix(String),
}

/// What is allowed on topics and consumer groups. Every right includes that of seeing what there is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum KafkaRight {
    /// Reading a topic.
    Read(Pattern),
    /// Writing to a topic.
    Write(Pattern),
    /// Making a topic that is not there.
    Create(Pattern),
    /// Being in a consumer group.
    Group(Pattern),
}

/// What is allowed on collections.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoreRight {
    /// Reading.
    Read(Pattern),
    /// Reading, writing, indexes.
    Write(Pattern),
}

/// Returns what a service may do in the Kafka of an installation, sorted.
///
/// It writes what it produces, and dead letters of what it consumes; it reads what it consumes or tails.
#[must_use]
pub fn kafka(service: ServiceName, installation: &str) -> Vec<KafkaRight> {
    let name = |topic: &str| Pattern::Exactly(format!("{installation}.{topic}"));
    let mut rights = BTreeSet::from([
        KafkaRight::Create(Pattern::Prefix(format!("{installation}."))),
        KafkaRight::Group(Pattern::Prefix(format!("{installation}.{service}."))),
    ]);
    for topic in Topic::ALL {
        let facts = topic.facts();
        if facts.producers.contains(&service) {
            rights.insert(KafkaRight::Write(name(facts.name)));
        }
        if facts.groups.contains(&service) {
            rights.insert(KafkaRight::Write(name(&format!("{}.dead", facts.name))));
        }
        if facts.groups.contains(&service) || facts.tails.contains(&service) {
            rights.insert(KafkaRight::Read(name(facts.name)));
        }
    }
    rights.into_iter().collect()
}

/// Returns what a service may do in the database of an installation.
///
/// Its collections begin with its name; bundles and history are the two that have a reader beside their writer.
#[must_use]
pub fn store(service: ServiceName) -> Vec<StoreRight> {
    let own = match service {
        // The agent is the deployer's, and keeps nothing but where it is in the logs.
        Agent => "deployer_agent_".to_owned(),
        service => format!("{}_", service.as_str().replace('-', "_")),
    };
    let mut rights = vec![StoreRight::Write(Pattern::Prefix(own))];
    let bundles = Pattern::Prefix(format!("{BUNDLES_BUCKET}."));
    let history = Pattern::Exactly(HISTORY_COLLECTION.to_owned());
    match service {
        ApplicationManager => rights.extend([
            // The read model.
            StoreRight::Write(Pattern::Prefix("view_".to_owned())),
            StoreRight::Write(bundles),
            StoreRight::Read(history),
        ]),
        Deployer => rights.push(StoreRight::Read(bundles)),
        SensorManager => rights.push(StoreRight::Write(history)),
        _ => {}
    }
    rights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::ServiceName::Scheduler;

    fn exactly(name: &str) -> Pattern {
        Pattern::Exactly(name.to_owned())
    }

    #[test]
    fn only_producers_write() {
        for topic in Topic::ALL {
            let facts = topic.facts();
            for service in ServiceName::ALL {
                let may = kafka(service, "iot").contains(&KafkaRight::Write(exactly(&format!("iot.{}", facts.name))));
                assert_eq!(may, facts.producers.contains(&service), "{service} on {}", facts.name);
            }
        }
    }

    #[test]
    fn what_a_service_may_in_kafka() {
        let all: Vec<(ServiceName, Vec<KafkaRight>)> = [Scheduler, Agent]
            .map(|service| (service, kafka(service, "iot")))
            .into();
        insta::assert_debug_snapshot!(all);
    }

    #[test]
    fn nobody_writes_what_is_anothers() {
        let covers = |pattern: &Pattern, name: &str| match pattern {
            Pattern::Exactly(exactly) => exactly == name,
            Pattern::Prefix(prefix) => name.starts_with(prefix),
        };
        for (collection, writers) in [
            ("scheduler_schedules", &["scheduler"][..]),
            ("bundles.chunks", &["application-manager"]),
            ("history", &["sensor-manager"]),
            ("deployer_agent_cursors", &["deployer", "agent"]),
            ("application_manager_users", &["application-manager"]),
            ("view_audit", &["application-manager"]),
        ] {
            let found: Vec<&str> = ServiceName::ALL
                .into_iter()
                .filter(|service| {
                    store(*service)
                        .iter()
                        .any(|right| matches!(right, StoreRight::Write(pattern) if covers(pattern, collection)))
                })
                .map(ServiceName::as_str)
                .collect();
            assert_eq!(found, writers, "{collection}");
        }
    }
}
