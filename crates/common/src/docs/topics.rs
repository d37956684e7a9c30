//! Pictures of the bus for `docs/topics.md` and `docs/architecture.svg`: drawn from the table of topics, so that they
//! cannot show anything else. What is outside Kafka (browsers, sensors, mail) is fixed here.

use super::{flowchart, picture};
use crate::Topic;
use crate::names::ServiceName;

/// Returns who reads a topic, by either way, once each.
pub(super) fn readers(topic: Topic) -> Vec<ServiceName> {
    let facts = topic.facts();
    let both = || facts.groups.iter().chain(facts.tails);
    ServiceName::ALL
        .into_iter()
        .filter(|name| both().any(|reader| reader == name))
        .collect()
}

/// Whether every service writes a topic.
pub(super) fn from_all(topic: Topic) -> bool {
    topic.facts().producers.len() == ServiceName::ALL.len()
}

#[test]
fn the_page_of_topics() {
    super::compare_part("topics.md", "topics", &flowchart::section());
}

#[test]
fn the_picture_of_the_architecture() {
    super::compare("architecture.svg", &picture::svg());
}
