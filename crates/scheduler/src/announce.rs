//! The records that a decision publishes. Ids are derived from schedule, due moment and version.

use common::messages::instance::{InstanceCommand, InstanceSpec};
use common::messages::schedule::ScheduleEvent;
use common::{Envelope, Message, MessageId, ScheduleId, Timestamp, Topic};
use runtime::{BusError, Record};

use crate::due::{self, Settled};
use crate::store::Tracked;

/// What a decision follows from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cause {
    /// The message, when it was one.
    pub message: Option<MessageId>,
    /// Its trace.
    pub traceparent: Option<String>,
}

impl<M: Message> From<&Envelope<M>> for Cause {
    fn from(envelope: &Envelope<M>) -> Self {
        Self {
            message: Some(envelope.id),
            traceparent: envelope.traceparent.clone(),
        }
    }
}

fn record<M: Message>(
    source: &str,
    id: &[&str],
    cause: &Cause,
    now: Timestamp,
    message: M,
) -> Result<Record, BusError> {
    Record::of(&Envelope {
        id: MessageId::derive(&[&[source], id].concat()),
        source: source.to_owned(),
        time: now,
        cause: cause.message,
        traceparent: cause.traceparent.clone(),
        message,
    })
}

/// Sets the version of the schedule and returns what to publish of a decision: stops, starts, the schedule.
///
/// # Errors
/// When a message can not be encoded.
pub fn records(
    source: &str,
    settled: &mut Settled,
    version: u64,
    cause: &Cause,
    now: Timestamp,
) -> Result<Vec<Record>, BusError> {
    settled.tracked.schedule.version = version;
    let tracked = &settled.tracked;
    let schedule = tracked.schedule.id.to_string();
    let mut records = Vec::new();
    for instance in &settled.decision.stop {
        let stop = InstanceCommand::Stop {
            id: *instance,
            why: "replaced by the next occurrence of its schedule".to_owned(),
            by: None,
        };
        let id = ["stop", &instance.to_string(), &version.to_string()];
        records.push(record(source, &id, cause, now, stop)?);
    }
    for due in &settled.decision.start {
        let start = InstanceCommand::Start {
            id: due::instance_of(tracked.schedule.id, *due),
            spec: Box::new(spec(tracked, *due)),
        };
        records.push(record(
            source,
            &["start", &schedule, &due.to_string()],
            cause,
            now,
            start,
        )?);
    }
    let changed = ScheduleEvent::Changed {
        schedule: Box::new(tracked.schedule.clone()),
    };
    records.push(record(
        source,
        &["schedule", &schedule, &version.to_string()],
        cause,
        now,
        changed,
    )?);
    Ok(records)
}

/// Returns what to publish when a schedule is deleted.
///
/// # Errors
/// When a message can not be encoded.
pub fn deleted(
    source: &str,
    id: ScheduleId,
    version: u64,
    cause: &Cause,
    now: Timestamp,
) -> Result<Vec<Record>, BusError> {
    let key = id.to_string();
    let event = record(
        source,
        &["schedule", &key, &version.to_string()],
        cause,
        now,
        ScheduleEvent::Deleted { id },
    )?;
    Ok(vec![event, Record::tombstone(Topic::ScheduleEvents, key)])
}

fn spec(tracked: &Tracked, due: Timestamp) -> InstanceSpec {
    let schedule = &tracked.schedule;
    InstanceSpec {
        schedule: schedule.id,
        schedule_name: schedule.spec.name.clone(),
        due,
        version: schedule.spec.version.clone(),
        location: schedule.spec.location,
        location_path: schedule.spec.location_path.clone(),
        parameters: schedule.spec.parameters.clone(),
        owner: schedule.owner,
        stop_at: due::stop_at(tracked, due),
    }
}
