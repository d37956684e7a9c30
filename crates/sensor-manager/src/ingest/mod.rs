//! From a sender's bytes to `sensor.data`, or to `sensor.quarantine` with the reason: the same for MQTT and HTTP.
//!
//! Nothing is dropped silently: what is refused is quarantined, counted and answered with what is allowed.

use std::sync::Arc;

use common::messages::reading::{Quarantine, Reading, SensorData};
use common::rules::readings;
use common::{ConnectorId, Envelope, MessageId, SensorId, Timestamp};
use runtime::bus::Delivery;
use runtime::{Bus, BusError, Record};

use crate::registry::{Directory, SensorFacts};

/// Most of a payload that quarantine keeps, in bytes.
const SAMPLE_BYTES: usize = 1024;

/// Takes in what connectors send.
#[derive(Debug)]
pub(crate) struct Ingest {
    pub(crate) bus: Bus,
    pub(crate) directory: Directory,
}

/// Who sent something, by what way, and when it arrived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender {
    pub(crate) connector: ConnectorId,
    /// `mqtt` or `http`; for the counters.
    pub(crate) via: &'static str,
    pub(crate) received: Timestamp,
}

/// Why something was refused, for status codes and counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The topic is none of the platform's.
    UnknownTopic,
    /// The sensor or device is not one that this connector carries.
    NotAllowed,
    /// The payload is in none of the formats.
    Unreadable,
    /// It can be read but can not be true.
    Impossible,
}

impl Fault {
    fn label(self) -> &'static str {
        match self {
            Self::UnknownTopic => "unknown_topic",
            Self::NotAllowed => "not_allowed",
            Self::Unreadable => "unreadable",
            Self::Impossible => "impossible",
        }
    }
}

/// What was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) fault: Fault,
    /// What was found and what is allowed.
    pub(crate) reason: String,
    /// How many readings.
    pub(crate) count: usize,
}

/// What became of a payload.
pub(crate) struct Intake {
    /// Readings that were accepted.
    pub(crate) accepted: usize,
    /// What was quarantined.
    pub(crate) refusal: Option<Refusal>,
    /// Resolves when Kafka has all of it; not before may it be acknowledged.
    pub(crate) durable: Delivery,
}

/// The decision on a payload.
#[derive(Debug, PartialEq)]
struct Verdict {
    readings: Vec<Reading>,
    refusal: Option<(Refusal, String)>,
}

impl Ingest {
    /// Takes in a payload of readings. The order of calls is the order on the topic.
    pub(crate) async fn readings(
        &self,
        sender: Sender,
        sensor: SensorId,
        payload: &[u8],
        content_type: Option<&str>,
    ) -> Result<Intake, BusError> {
        let known = |directory: &Directory| directory.sensor(sensor).is_some();
        self.directory.expect(sensor.uuid(), sender.received, known).await;
        let facts = self.directory.sensor(sensor);
        let verdict = judge(sender, sensor, facts.as_deref(), payload, content_type);
        let mut deliveries = Vec::with_capacity(verdict.readings.len() + 1);
        let accepted = verdict.readings.len();
        for reading in verdict.readings {
            let record = Record::of(&self.envelope(reading))?;
            deliveries.push(self.bus.enqueue(&record).await?);
        }
        if let Some((refusal, sample)) = &verdict.refusal {
            let record = self.quarantine(sender, &sensor.to_string(), refusal, sample.clone())?;
            deliveries.push(self.bus.enqueue(&record).await?);
        }
        let refusal = verdict.refusal.map(|(refusal, _)| refusal);
        Ok(Intake {
            accepted,
            durable: counted(sender.via, accepted, refusal.clone(), deliveries),
            refusal,
        })
    }

    /// Quarantines something that is no reading of a sensor; `named` is the topic or path.
    pub(crate) async fn refuse(
        &self,
        sender: Sender,
        named: &str,
        refusal: Refusal,
        payload: &[u8],
    ) -> Result<Intake, BusError> {
        let named: String = named.chars().take(200).collect();
        let record = self.quarantine(sender, &named, &refusal, sample(payload))?;
        let delivery = self.bus.enqueue(&record).await?;
        Ok(Intake {
            accepted: 0,
            durable: counted(sender.via, 0, Some(refusal.clone()), vec![delivery]),
            refusal: Some(refusal),
        })
    }

    fn envelope(&self, reading: Reading) -> Envelope<SensorData> {
        let id = match (reading.boot, reading.seq) {
            // What is sent again has the same id.
            (Some(boot), Some(seq)) => MessageId::derive(&[
                "sensor.data",
                &reading.sensor.to_string(),
                &boot.to_string(),
                &seq.to_string(),
            ]),
            _ => MessageId::new(),
        };
        Envelope::first(id, self.bus.source(), reading.received, SensorData::Reading(reading))
    }

    fn quarantine(&self, sender: Sender, named: &str, refusal: &Refusal, sample: String) -> Result<Record, BusError> {
        let message = Quarantine::Refused {
            sensor: named.to_owned(),
            connector: sender.connector,
            reason: refusal.reason.clone(),
            sample,
            received: sender.received,
        };
        Record::of(&Envelope::first(
            MessageId::new(),
            self.bus.source(),
            sender.received,
            message,
        ))
    }
}

/// Decides on a payload: each reading passes or is refused by itself; what can not be read is refused as a whole.
fn judge(
    sender: Sender,
    sensor: SensorId,
    facts: Option<&SensorFacts>,
    payload: &[u8],
    content_type: Option<&str>,
) -> Verdict {
    let refused = |fault, reason: String| Verdict {
        readings: Vec::new(),
        refusal: Some((
            Refusal {
                fault,
                reason,
                count: 1,
            },
            sample(payload),
        )),
    };
    let Some(facts) = facts.filter(|facts| facts.sensor.connector == sender.connector) else {
        let reason = format!(
            "connector {} carries no sensor {sensor}; allowed are the sensors that are registered on it",
            sender.connector
        );
        return refused(Fault::NotAllowed, reason);
    };
    let raws = match readings::parse(payload, content_type) {
        Ok(raws) => raws,
        Err(reason) => return refused(Fault::Unreadable, reason),
    };
    let total = raws.len();
    let mut accepted = Vec::with_capacity(total);
    let mut first: Option<(String, String)> = None;
    for raw in &raws {
        match readings::check(raw, &facts.type_, sensor, sender.received) {
            Ok(reading) => accepted.push(reading),
            Err(reason) if first.is_none() => {
                let text = serde_json::to_string(raw).unwrap_or_default();
                first = Some((reason, sample(text.as_bytes())));
            }
            Err(_) => {}
        }
    }
    let count = total - accepted.len();
    let refusal = first.map(|(mut reason, sample)| {
        if total > 1 {
            reason = format!("{count} of {total} readings were refused, the first because {reason}");
        }
        let fault = Fault::Impossible;
        (Refusal { fault, reason, count }, sample)
    });
    Verdict {
        readings: accepted,
        refusal,
    }
}

/// Waits for all deliveries and then counts.
fn counted(via: &'static str, accepted: usize, refusal: Option<Refusal>, deliveries: Vec<Delivery>) -> Delivery {
    Box::pin(async move {
        for delivery in deliveries {
            delivery.await?;
        }
        if accepted > 0 {
            metrics::counter!("readings_accepted_total", "via" => via).increment(accepted as u64);
        }
        if let Some(refusal) = refusal {
            metrics::counter!("readings_quarantined_total", "via" => via, "reason" => refusal.fault.label())
                .increment(refusal.count as u64);
        }
        Ok(())
    })
}

/// Returns the beginning of a payload as text.
fn sample(payload: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(&payload[..payload.len().min(SAMPLE_BYTES)]).into_owned();
    while text.len() > SAMPLE_BYTES {
        text.pop();
    }
    text
}

/// Makes the intake that both endpoints share.
pub(crate) fn shared(bus: Bus, directory: Directory) -> Arc<Ingest> {
    Arc::new(Ingest { bus, directory })
}

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;
