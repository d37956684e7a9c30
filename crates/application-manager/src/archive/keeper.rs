//! Owned work: puts what happened on its shelf, once for all copies of this service.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use common::messages::action::{ActionEvent, Origin};
use common::messages::log::AuditEntry;
use common::messages::reading::Quarantine;
use common::{Envelope, Message};
use runtime::{HandleError, Handler};

use super::{Archive, Row, Shelf};

/// Puts messages on shelves.
#[derive(Clone)]
pub(crate) struct Keeper(pub(crate) Arc<dyn Archive>);

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keeper")
    }
}

fn body<T: serde::Serialize>(value: &T) -> Result<String, HandleError> {
    serde_json::to_string(value).map_err(|error| HandleError::Reject(error.to_string()))
}

#[async_trait]
impl Handler<ActionEvent> for Keeper {
    async fn handle(&self, envelope: &Envelope<ActionEvent>) -> Result<(), HandleError> {
        let (shelf, row) = action_row(&envelope.message)?;
        Ok(self.0.put(shelf, &row).await?)
    }
}

fn action_row(event: &ActionEvent) -> Result<(Shelf, Row), HandleError> {
    Ok(match event {
        ActionEvent::Notification { notification } => (
            Shelf::Notifications,
            Row {
                id: notification.id.to_string(),
                version: notification.version,
                at: notification.at,
                fields: BTreeMap::from([
                    ("owner", notification.owner.to_string()),
                    ("instance", notification.instance.to_string()),
                ]),
                body: body(notification)?,
            },
        ),
        ActionEvent::Command { command } => {
            let mut fields = BTreeMap::from([("device", command.device.to_string())]);
            if let Origin::Instance { instance } = &command.origin {
                fields.insert("instance", instance.to_string());
            }
            (
                Shelf::Commands,
                Row {
                    id: command.id.to_string(),
                    version: command.version,
                    at: command.at,
                    fields,
                    body: body(command)?,
                },
            )
        }
    })
}

#[async_trait]
impl Handler<AuditEntry> for Keeper {
    async fn handle(&self, envelope: &Envelope<AuditEntry>) -> Result<(), HandleError> {
        let AuditEntry::Changed { at, .. } = &envelope.message;
        let row = Row {
            id: envelope.id.to_string(),
            version: 1,
            at: *at,
            fields: BTreeMap::from([("actor", envelope.message.key())]),
            body: body(&envelope.message)?,
        };
        Ok(self.0.put(Shelf::Audit, &row).await?)
    }
}

#[async_trait]
impl Handler<Quarantine> for Keeper {
    async fn handle(&self, envelope: &Envelope<Quarantine>) -> Result<(), HandleError> {
        let Quarantine::Refused {
            connector, received, ..
        } = &envelope.message;
        let row = Row {
            id: envelope.id.to_string(),
            version: 1,
            at: *received,
            fields: BTreeMap::from([("connector", connector.to_string())]),
            body: body(&envelope.message)?,
        };
        Ok(self.0.put(Shelf::Quarantine, &row).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::MemoryArchive;
    use common::messages::action::{Notification, Severity};
    use common::{ActionId, InstanceId, Timestamp, UserId};
    use runtime::memory::{envelope, feed_twice};

    #[tokio::test]
    async fn the_newest_version_of_each_stays() {
        let archive = Arc::new(MemoryArchive::default());
        let keeper = Keeper(archive.clone());
        let owner = UserId::new();
        let mut notification = Notification {
            id: ActionId::new(),
            instance: InstanceId::new(),
            owner,
            application: "Room comfort".to_owned(),
            title: "warm".to_owned(),
            text: String::new(),
            severity: Severity::Info,
            at: Timestamp::from_millis(1000),
            deliveries: Vec::new(),
            version: 2,
        };
        let event = |notification: &Notification| {
            envelope(ActionEvent::Notification {
                notification: Box::new(notification.clone()),
            })
        };
        feed_twice(&keeper, &event(&notification)).await.unwrap();
        notification.version = 1;
        notification.title = "older".to_owned();
        feed_twice(&keeper, &event(&notification)).await.unwrap();
        let rows = archive
            .list(Shelf::Notifications, &[("owner", owner.to_string())], None, 10)
            .await
            .unwrap();
        assert_eq!(rows.len(), 1);
        assert!(rows[0].body.contains("warm"));
        let below = archive
            .list(Shelf::Notifications, &[], Some(&rows[0].place()), 10)
            .await
            .unwrap();
        assert!(below.is_empty());
    }
}
