//! The Mermaid flowchart: one arrow for each pair of services, with the topics that connect them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::topics::{from_all, readers};
use crate::Topic;
use crate::names::ServiceName;

/// What is around the platform.
const OUTSIDE: &str = "    browser([browsers]) <-->|HTTP, SSE| application_manager
    sensors([sensors, devices]) <-->|MQTT, HTTP| sensor_manager
    action_manager -->|SMTP, HTTPS| mail([mail, webhooks])
    deployer -->|Docker Swarm| applications([applications])
    applications <-->|WebSocket, HTTP| agent
    agent <-.->|forwards| sensor_manager
    agent <-.->|forwards| action_manager
";

/// Returns what stands between the marks of `docs/topics.md`.
pub(super) fn section() -> String {
    let mut pairs: BTreeMap<(ServiceName, ServiceName), Vec<&str>> = BTreeMap::new();
    let mut own = Vec::new();
    let mut everyone = Vec::new();
    for topic in Topic::ALL {
        if from_all(topic) {
            let readers: Vec<String> = readers(topic).iter().map(|name| format!("**{name}**")).collect();
            everyone.push(format!("`{}` to {}", topic.name(), readers.join(", ")));
            continue;
        }
        for reader in readers(topic) {
            for producer in topic.facts().producers {
                if *producer == reader {
                    own.push(format!("`{}` ({reader})", topic.name()));
                } else {
                    pairs.entry((*producer, reader)).or_default().push(topic.name());
                }
            }
        }
    }
    let mut text = String::from("```mermaid\nflowchart LR\n");
    for name in ServiceName::ALL {
        writeln!(text, "    {}[{name}]", id(name)).unwrap();
    }
    text.push_str(OUTSIDE);
    for ((producer, reader), topics) in pairs {
        let topics = topics.join("<br>");
        writeln!(text, "    {} ==>|\"{topics}\"| {}", id(producer), id(reader)).unwrap();
    }
    text.push_str("```\n\n");
    writeln!(
        text,
        "Not drawn: what every service writes ({}), and what a service reads of its own: {}.\n",
        everyone.join("; "),
        own.join(", ")
    )
    .unwrap();
    text.push_str(&Topic::table());
    text
}

fn id(name: ServiceName) -> String {
    name.as_str().replace('-', "_")
}
