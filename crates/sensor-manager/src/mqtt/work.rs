//! Handing what a client sent to Kafka, and what it is answered.

use std::sync::Arc;

use common::{ConnectorId, Timestamp};
use runtime::BusError;

use super::packet::{Publish, Reason};
use super::pipeline::{Beginning, Begun};
use super::session::{Answer, Work};
use super::topics::{self, Target};
use crate::devices::Commands;
use crate::ingest::{Fault, Ingest, Intake, Refusal, Sender};

/// Where work goes.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) commands: Arc<Commands>,
    pub(crate) connector: ConnectorId,
}

impl Worker {
    /// Hands an item over; the order of the calls is the order on the topics.
    pub(crate) fn begin(&self, work: Work) -> Beginning<Answer> {
        let worker = self.clone();
        Box::pin(async move {
            match work {
                Work::Publish(publish, received) => worker.publish(publish, received).await,
                Work::Sent(device, command) => Ok(Begun {
                    answer: Answer::None,
                    durable: worker.commands.sent(device, command, Timestamp::now()).await?,
                }),
            }
        })
    }

    async fn publish(&self, publish: Publish, received: Timestamp) -> Result<Begun<Answer>, BusError> {
        let intake = self.take_in(&publish, received).await;
        let Some(id) = publish.id else {
            return Ok(at_most_once(intake));
        };
        let Intake {
            accepted,
            refusal,
            durable,
        } = intake?;
        let (reason, why) = refusal.map_or((Reason::Success, None), |refusal| {
            (reason(accepted, &refusal), Some(refusal.reason))
        });
        Ok(Begun {
            answer: Answer::PubAck { id, reason, why },
            durable,
        })
    }

    async fn take_in(&self, publish: &Publish, received: Timestamp) -> Result<Intake, BusError> {
        let sender = Sender {
            connector: self.connector,
            via: "mqtt",
            received,
        };
        match topics::target(&publish.topic) {
            Ok(Target::Readings(sensor)) => {
                let content_type = publish.content_type.as_deref();
                self.ingest
                    .readings(sender, sensor, &publish.payload, content_type)
                    .await
            }
            Ok(Target::Report(device, command)) => {
                self.commands.report(sender, device, command, &publish.payload).await
            }
            Err(reason) => {
                let refusal = Refusal {
                    fault: Fault::UnknownTopic,
                    reason,
                    count: 1,
                };
                self.ingest
                    .refuse(sender, &publish.topic, refusal, &publish.payload)
                    .await
            }
        }
    }
}

/// At `QoS` 0 the client has given the message up: a loss is counted and ends nothing.
fn at_most_once(intake: Result<Intake, BusError>) -> Begun<Answer> {
    Begun {
        answer: Answer::None,
        durable: Box::pin(async move {
            let outcome = match intake {
                Ok(intake) => intake.durable.await,
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                metrics::counter!("readings_lost_total", "qos" => "0").increment(1);
                tracing::debug!(%error, "a message of QoS 0 was lost");
            }
            Ok(())
        }),
    }
}

/// Returns what MQTT 5 says of a refusal. All of these end the message for the client: it is in quarantine.
fn reason(accepted: usize, refusal: &Refusal) -> Reason {
    match refusal.fault {
        Fault::UnknownTopic => Reason::TopicNameInvalid,
        Fault::NotAllowed => Reason::NotAuthorized,
        // Some of its readings are in.
        Fault::Impossible if accepted > 0 => Reason::Success,
        Fault::Unreadable | Fault::Impossible => Reason::PayloadFormatInvalid,
    }
}
