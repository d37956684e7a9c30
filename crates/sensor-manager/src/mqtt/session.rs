//! What a connection has agreed on and owes: a state machine without I/O.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bytes::BytesMut;
use common::{ActionId, DeviceId, Timestamp};

use super::packet::{Connect, Fault, Packet, Publish, Reason, Version};
use super::{encode, topics};
use crate::devices::Command;

/// Most commands that a client has and has not acknowledged.
const MAX_OUTSTANDING: usize = 32;

/// What has to be handed to Kafka.
#[derive(Debug)]
pub(crate) enum Work {
    /// What the client published.
    Publish(Publish, Timestamp),
    /// The client has a command.
    Sent(DeviceId, ActionId),
}

/// What the client is owed for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing.
    None,
    /// PUBACK.
    PubAck {
        id: u16,
        reason: Reason,
        why: Option<String>,
    },
}

/// What follows from a packet beside bytes to send.
#[derive(Debug)]
pub(crate) enum Step {
    Nothing,
    /// Into the pipeline, with its size.
    Take(Work, usize),
    /// Watch these devices.
    Watch(Vec<DeviceId>),
    /// Watch these no longer.
    Unwatch(Vec<DeviceId>),
    /// The client has said good-bye.
    Bye,
}

/// One connection after CONNACK.
#[derive(Debug)]
pub(crate) struct Session {
    version: Version,
    wants_reasons: bool,
    receive_maximum: usize,
    /// `QoS` 1 publishes that have no PUBACK yet.
    unanswered: usize,
    client_takes: usize,
    client_maximum_packet: usize,
    /// Device → whether at `QoS` 1.
    subscriptions: HashMap<DeviceId, bool>,
    outstanding: HashMap<u16, (DeviceId, ActionId)>,
    /// Commands that this connection has got.
    handed: HashMap<DeviceId, HashSet<ActionId>>,
    /// Devices with commands beyond what the client takes at once.
    held: BTreeSet<DeviceId>,
    last_id: u16,
}

impl Session {
    pub(crate) fn new(connect: &Connect, receive_maximum: u16) -> Self {
        Self {
            version: connect.version,
            wants_reasons: connect.wants_reasons,
            receive_maximum: usize::from(receive_maximum),
            unanswered: 0,
            client_takes: MAX_OUTSTANDING.min(usize::from(connect.receive_maximum)),
            client_maximum_packet: usize::try_from(connect.maximum_packet).unwrap_or(usize::MAX),
            subscriptions: HashMap::new(),
            outstanding: HashMap::new(),
            handed: HashMap::new(),
            held: BTreeSet::new(),
            last_id: 0,
        }
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// Takes a packet in; `owns` tells which devices the connector carries.
    pub(crate) fn on_packet(
        &mut self,
        packet: Packet,
        now: Timestamp,
        owns: &dyn Fn(DeviceId) -> bool,
        out: &mut BytesMut,
    ) -> Result<Step, Fault> {
        match packet {
            Packet::Publish(publish) => self.on_publish(publish, now),
            Packet::PubAck { id } => Ok(match self.outstanding.remove(&id) {
                Some((device, command)) => Step::Take(Work::Sent(device, command), 0),
                // A repeat, or of a connection before this one.
                None => Step::Nothing,
            }),
            Packet::Subscribe { id, filters } => Ok(self.on_subscribe(id, &filters, owns, out)),
            Packet::Unsubscribe { id, filters } => Ok(self.on_unsubscribe(id, &filters, out)),
            Packet::PingReq => {
                encode::pingresp(out);
                Ok(Step::Nothing)
            }
            Packet::Disconnect => Ok(Step::Bye),
        }
    }

    fn on_publish(&mut self, publish: Publish, now: Timestamp) -> Result<Step, Fault> {
        if publish.id.is_some() {
            self.unanswered += 1;
            if self.version == Version::V5 && self.unanswered > self.receive_maximum {
                let text = format!(
                    "more than {} publishes without an acknowledgement; the receive maximum is {}",
                    self.receive_maximum, self.receive_maximum
                );
                return Err(Fault::new(Reason::ReceiveMaximumExceeded, text));
            }
        }
        let size = publish.payload.len() + publish.topic.len();
        Ok(Step::Take(Work::Publish(publish, now), size))
    }

    fn on_subscribe(
        &mut self,
        id: u16,
        filters: &[(String, u8)],
        owns: &dyn Fn(DeviceId) -> bool,
        out: &mut BytesMut,
    ) -> Step {
        let refused = match self.version {
            Version::V4 => 0x80,
            Version::V5 => Reason::NotAuthorized as u8,
        };
        let mut watched = Vec::new();
        let mut codes = Vec::with_capacity(filters.len());
        for (filter, qos) in filters {
            match topics::commands_of(filter).filter(|device| owns(*device)) {
                Some(device) => {
                    let granted = (*qos).min(1);
                    self.subscriptions.insert(device, granted == 1);
                    watched.push(device);
                    codes.push(granted);
                }
                None => codes.push(refused),
            }
        }
        encode::suback(out, self.version, id, &codes);
        if watched.is_empty() {
            Step::Nothing
        } else {
            Step::Watch(watched)
        }
    }

    fn on_unsubscribe(&mut self, id: u16, filters: &[String], out: &mut BytesMut) -> Step {
        let mut unwatched = Vec::new();
        let mut codes = Vec::with_capacity(filters.len());
        for filter in filters {
            let device = topics::commands_of(filter).filter(|device| self.subscriptions.contains_key(device));
            codes.push(if device.is_some() { 0 } else { 0x11 });
            if let Some(device) = device {
                self.drop_subscription(device);
                unwatched.push(device);
            }
        }
        encode::unsuback(out, self.version, id, &codes);
        Step::Unwatch(unwatched)
    }

    /// Forgets a subscription.
    pub(crate) fn drop_subscription(&mut self, device: DeviceId) {
        self.subscriptions.remove(&device);
        self.handed.remove(&device);
        self.held.remove(&device);
    }

    /// Hands out what this connection has not got yet of the commands that wait for a device.
    pub(crate) fn hand_out(&mut self, device: DeviceId, waiting: &[Arc<Command>], out: &mut BytesMut) {
        let Some(at_least_once) = self.subscriptions.get(&device).copied() else {
            return;
        };
        let mut handed = self.handed.remove(&device).unwrap_or_default();
        handed.retain(|id| waiting.iter().any(|command| command.id == *id));
        for command in waiting {
            if handed.contains(&command.id) {
                continue;
            }
            if at_least_once && self.outstanding.len() >= self.client_takes {
                self.held.insert(device);
                break;
            }
            if let Ok(body) = serde_json::to_vec(&**command) {
                self.publish(command, at_least_once, &body, out);
            }
            handed.insert(command.id);
        }
        if !handed.is_empty() {
            self.handed.insert(device, handed);
        }
    }

    fn publish(&mut self, command: &Command, at_least_once: bool, body: &[u8], out: &mut BytesMut) {
        let topic = topics::commands(command.device);
        if topic.len() + body.len() + 16 > self.client_maximum_packet {
            tracing::warn!(device = %command.device, command = %command.id, "a command is larger than its client takes");
            return;
        }
        let id = at_least_once.then(|| self.next_id());
        if let Some(id) = id {
            self.outstanding.insert(id, (command.device, command.id));
        }
        encode::publish(out, self.version, &topic, id, body);
    }

    fn next_id(&mut self) -> u16 {
        // Ends: far fewer than 65,535 are outstanding.
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if !self.outstanding.contains_key(&self.last_id) {
                return self.last_id;
            }
        }
    }

    /// Returns the devices that were held back and may now have a turn.
    pub(crate) fn take_held(&mut self) -> BTreeSet<DeviceId> {
        if self.outstanding.len() < self.client_takes {
            std::mem::take(&mut self.held)
        } else {
            BTreeSet::new()
        }
    }

    /// Writes the answer to something that is durable.
    pub(crate) fn answer(&mut self, answer: &Answer, out: &mut BytesMut) {
        let Answer::PubAck { id, reason, why } = answer else {
            return;
        };
        self.unanswered = self.unanswered.saturating_sub(1);
        let fits = why
            .as_ref()
            .is_some_and(|why| self.wants_reasons && why.len() + 32 <= self.client_maximum_packet);
        encode::puback(out, self.version, *id, *reason, why.as_deref().filter(|_| fits));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn session(version: Version, receive_maximum: u16) -> Session {
        let connect = Connect {
            version,
            client_id: "c".to_owned(),
            clean: true,
            keep_alive: 0,
            user_name: None,
            password: None,
            receive_maximum,
            maximum_packet: u32::MAX,
            wants_reasons: true,
            authentication_method: None,
        };
        Session::new(&connect, 2)
    }

    fn device() -> DeviceId {
        DeviceId::derive(&["d"])
    }

    fn command(name: &str) -> Arc<Command> {
        Arc::new(Command {
            id: ActionId::derive(&[name]),
            device: device(),
            command: "switch".to_owned(),
            arguments: std::collections::BTreeMap::new(),
            expires: Timestamp::from_millis(9000),
        })
    }

    fn feed(session: &mut Session, packet: Packet) -> (Result<Step, Fault>, BytesMut) {
        let mut out = BytesMut::new();
        let step = session.on_packet(packet, Timestamp::from_millis(0), &|id| id == device(), &mut out);
        (step, out)
    }

    fn subscribe(session: &mut Session, qos: u8) {
        let filters = vec![(topics::commands(device()), qos), ("#".to_owned(), 0)];
        let (step, out) = feed(session, Packet::Subscribe { id: 3, filters });
        assert!(matches!(step, Ok(Step::Watch(devices)) if devices == [device()]));
        let refused = if session.version() == Version::V4 { 0x80 } else { 0x87 };
        assert_eq!(out[out.len() - 2..], [qos.min(1), refused]);
    }

    fn publish(id: Option<u16>) -> Packet {
        Packet::Publish(Publish {
            topic: "t".to_owned(),
            id,
            payload: Bytes::new(),
            content_type: None,
        })
    }

    #[test]
    fn a_client_of_version_5_keeps_to_the_receive_maximum() {
        let mut v5 = session(Version::V5, 10);
        for id in [Some(1), Some(2), None] {
            assert!(matches!(feed(&mut v5, publish(id)).0, Ok(Step::Take(..))));
        }
        let error = feed(&mut v5, publish(Some(3))).0.unwrap_err();
        assert_eq!(error.reason, Reason::ReceiveMaximumExceeded);
        let mut v5 = session(Version::V5, 10);
        let mut out = BytesMut::new();
        for id in 1..100 {
            assert!(feed(&mut v5, publish(Some(id))).0.is_ok());
            let (reason, why) = (Reason::Success, None);
            v5.answer(&Answer::PubAck { id, reason, why }, &mut out);
        }
        assert_eq!(out.len(), 99 * 4);
        let mut v4 = session(Version::V4, 10);
        assert!((1..100).all(|id| feed(&mut v4, publish(Some(id))).0.is_ok()));
    }

    #[test]
    fn a_command_is_handed_out_once_per_connection_and_told_when_acknowledged() {
        let mut session = session(Version::V4, 10);
        let mut out = BytesMut::new();
        session.hand_out(device(), &[command("a")], &mut out);
        assert!(out.is_empty(), "not subscribed");
        subscribe(&mut session, 2);
        session.hand_out(device(), &[command("a")], &mut out);
        let length = out.len();
        assert!(length > 0);
        session.hand_out(device(), &[command("a")], &mut out);
        assert_eq!(out.len(), length);
        let (step, _) = feed(&mut session, Packet::PubAck { id: 1 });
        assert!(matches!(step, Ok(Step::Take(Work::Sent(to, id), _)) if to == device() && id == command("a").id));
        assert!(matches!(
            feed(&mut session, Packet::PubAck { id: 1 }).0,
            Ok(Step::Nothing)
        ));
        session.hand_out(device(), &[], &mut out);
        assert!(session.handed.is_empty(), "what is over is forgotten");
    }

    #[test]
    fn no_more_commands_than_the_client_takes() {
        let mut session = session(Version::V5, 1);
        subscribe(&mut session, 1);
        let mut out = BytesMut::new();
        let waiting = [command("a"), command("b")];
        session.hand_out(device(), &waiting, &mut out);
        assert_eq!(session.outstanding.len(), 1);
        assert!(session.take_held().is_empty());
        assert!(feed(&mut session, Packet::PubAck { id: 1 }).0.is_ok());
        assert_eq!(session.take_held().len(), 1);
        session.hand_out(device(), &waiting, &mut out);
        assert_eq!(session.outstanding[&2].1, command("b").id);
    }

    #[test]
    fn after_the_end_of_a_subscription_nothing_is_handed_out() {
        let mut session = session(Version::V5, 10);
        subscribe(&mut session, 0);
        let filters = vec![topics::commands(device()), "x".to_owned()];
        let (step, out) = feed(&mut session, Packet::Unsubscribe { id: 4, filters });
        assert!(matches!(step, Ok(Step::Unwatch(devices)) if devices == [device()]));
        assert_eq!(out[out.len() - 2..], [0, 0x11]);
        let mut out = BytesMut::new();
        session.hand_out(device(), &[command("a")], &mut out);
        assert!(out.is_empty());
    }

    #[test]
    fn pings_are_answered_and_good_byes_understood() {
        let mut session = session(Version::V4, 10);
        assert_eq!(&feed(&mut session, Packet::PingReq).1[..], [0xd0, 0]);
        assert!(matches!(feed(&mut session, Packet::Disconnect).0, Ok(Step::Bye)));
    }
}
