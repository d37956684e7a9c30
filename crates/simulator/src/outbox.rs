//! What a connector has still to bring to its end, and which acknowledgement belongs to which message. Pure.
//!
//! rumqttc hands out packet ids itself and reports them in the order in which messages were given to it
//! (`Outgoing::Publish(id)` comes before the bytes leave, hence before the acknowledgement). It forgets everything when
//! a reconnect finds no session on the other side, so nothing here relies on its memory: after a lost connection all
//! that is not acknowledged goes back to the front, in its first order, and a new client begins.

use std::collections::VecDeque;

/// Messages in three stages: waiting, given to the client, sent under a packet id.
#[derive(Debug, Clone)]
pub struct Outbox<M> {
    limit: usize,
    waiting: VecDeque<M>,
    given: VecDeque<M>,
    sent: VecDeque<(u16, M)>,
}

impl<M> Outbox<M> {
    /// Creates an empty outbox that keeps at most `limit` messages with the client.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            waiting: VecDeque::new(),
            given: VecDeque::new(),
            sent: VecDeque::new(),
        }
    }

    /// Adds a message at the end.
    pub fn push(&mut self, message: M) {
        self.waiting.push_back(message);
    }

    /// Returns the next message to give to the client, or nothing while enough are on their way.
    pub fn give(&mut self) -> Option<&M> {
        if self.given.len() + self.sent.len() >= self.limit {
            return None;
        }
        self.given.push_back(self.waiting.pop_front()?);
        self.given.back()
    }

    /// Notes that the client has sent the oldest given message under this packet id.
    pub fn sent(&mut self, packet: u16) {
        if let Some(message) = self.given.pop_front() {
            self.sent.push_back((packet, message));
        }
    }

    /// Takes out the message that this acknowledgement belongs to; nothing when there is none.
    pub fn acknowledged(&mut self, packet: u16) -> Option<M> {
        let index = self.sent.iter().position(|(id, _)| *id == packet)?;
        self.sent.remove(index).map(|(_, message)| message)
    }

    /// Puts all that is not acknowledged back to the front, in its first order.
    pub fn disconnected(&mut self) {
        let mut all: VecDeque<M> = self.sent.drain(..).map(|(_, message)| message).collect();
        all.append(&mut self.given);
        all.append(&mut self.waiting);
        self.waiting = all;
    }

    /// Returns how many messages are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len() + self.given.len() + self.sent.len()
    }

    /// Tells whether everything was acknowledged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_find_their_message_and_the_rest_is_sent_again_in_order() {
        let mut outbox = Outbox::new(3);
        (0..6).for_each(|number| outbox.push(number));
        assert_eq!(
            [outbox.give().copied(), outbox.give().copied(), outbox.give().copied()],
            [Some(0), Some(1), Some(2)]
        );
        assert_eq!(outbox.give(), None);
        outbox.sent(10);
        outbox.sent(11);
        assert_eq!(outbox.acknowledged(11), Some(1));
        assert_eq!(outbox.acknowledged(11), None);
        assert_eq!(outbox.give(), Some(&3));
        outbox.disconnected();
        let mut again = Vec::new();
        while let Some(number) = outbox.give().copied() {
            again.push(number);
            outbox.sent(1);
            assert_eq!(outbox.acknowledged(1), Some(number));
        }
        assert_eq!(again, [0, 2, 3, 4, 5]);
        assert!(outbox.is_empty());
    }
}
