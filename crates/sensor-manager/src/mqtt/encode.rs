//! From answers to bytes.

use bytes::{BufMut, BytesMut};

use super::packet::{Reason, Version};

/// What CONNACK tells a client of MQTT 5.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terms {
    /// `QoS` 1 publishes that may be unanswered.
    pub(crate) receive_maximum: u16,
    /// Largest packet.
    pub(crate) maximum_packet: u32,
    /// Client id, where the client had none.
    pub(crate) assigned_id: Option<String>,
}

/// Accepts a client.
pub(crate) fn accept(out: &mut BytesMut, version: Version, terms: &Terms) {
    let mut body = BytesMut::from(&[0, 0][..]);
    if version == Version::V5 {
        let mut list = BytesMut::new();
        // A session ends with its connection; commands that wait are handed out again after the next subscription.
        list.put_u8(0x11);
        list.put_u32(0);
        list.put_u8(0x21);
        list.put_u16(terms.receive_maximum);
        list.put_slice(&[0x24, 1, 0x25, 0]);
        list.put_u8(0x27);
        list.put_u32(terms.maximum_packet);
        if let Some(id) = &terms.assigned_id {
            list.put_u8(0x12);
            text(&mut list, id);
        }
        list.put_slice(&[0x28, 0, 0x29, 0, 0x2a, 0]);
        properties(&mut body, &list);
    }
    packet(out, 0x20, &body);
}

/// Refuses a client.
pub(crate) fn refuse(out: &mut BytesMut, version: Version, reason: Reason, why: &str) {
    let mut body = BytesMut::new();
    match version {
        Version::V4 => body.put_slice(&[0, reason.connect_code()]),
        Version::V5 => {
            body.put_slice(&[0, reason as u8]);
            reason_text(&mut body, Some(why));
        }
    }
    packet(out, 0x20, &body);
}

/// Acknowledges a publish. In 3.1.1 there is no other answer than yes.
pub(crate) fn puback(out: &mut BytesMut, version: Version, id: u16, reason: Reason, why: Option<&str>) {
    if version == Version::V4 || (reason == Reason::Success && why.is_none()) {
        out.put_slice(&[0x40, 2]);
        out.put_u16(id);
        return;
    }
    let mut body = BytesMut::new();
    body.put_u16(id);
    body.put_u8(reason as u8);
    reason_text(&mut body, why);
    packet(out, 0x40, &body);
}

/// Answers a subscription: for each filter the granted `QoS` or 0x80 and more.
pub(crate) fn suback(out: &mut BytesMut, version: Version, id: u16, codes: &[u8]) {
    listed(out, 0x90, version, id, codes);
}

/// Answers the end of subscriptions.
pub(crate) fn unsuback(out: &mut BytesMut, version: Version, id: u16, codes: &[u8]) {
    listed(out, 0xb0, version, id, if version == Version::V4 { &[] } else { codes });
}

fn listed(out: &mut BytesMut, header: u8, version: Version, id: u16, codes: &[u8]) {
    let mut body = BytesMut::new();
    body.put_u16(id);
    if version == Version::V5 {
        body.put_u8(0);
    }
    body.put_slice(codes);
    packet(out, header, &body);
}

/// Publishes to a client; with a packet id at `QoS` 1.
pub(crate) fn publish(out: &mut BytesMut, version: Version, topic: &str, id: Option<u16>, payload: &[u8]) {
    let mut body = BytesMut::with_capacity(topic.len() + payload.len() + 8);
    text(&mut body, topic);
    if let Some(id) = id {
        body.put_u16(id);
    }
    if version == Version::V5 {
        body.put_u8(0);
    }
    body.put_slice(payload);
    packet(out, if id.is_some() { 0x32 } else { 0x30 }, &body);
}

/// Answers a ping.
pub(crate) fn pingresp(out: &mut BytesMut) {
    out.put_slice(&[0xd0, 0]);
}

/// Says why the connection ends; 3.1.1 has no word for it.
pub(crate) fn disconnect(out: &mut BytesMut, version: Version, reason: Reason, why: &str) {
    if version == Version::V5 {
        let mut body = BytesMut::new();
        body.put_u8(reason as u8);
        reason_text(&mut body, Some(why));
        packet(out, 0xe0, &body);
    }
}

fn reason_text(body: &mut BytesMut, why: Option<&str>) {
    let mut list = BytesMut::new();
    if let Some(why) = why {
        list.put_u8(0x1f);
        let short: String = why.chars().take(300).collect();
        text(&mut list, &short);
    }
    properties(body, &list);
}

fn properties(body: &mut BytesMut, list: &[u8]) {
    varint(body, list.len());
    body.put_slice(list);
}

/// Writes a text; callers keep it far below the 65,535 bytes that fit.
fn text(body: &mut BytesMut, text: &str) {
    body.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
    body.put_slice(&text.as_bytes()[..text.len().min(usize::from(u16::MAX))]);
}

fn packet(out: &mut BytesMut, header: u8, body: &[u8]) {
    out.put_u8(header);
    varint(out, body.len());
    out.put_slice(body);
}

fn varint(out: &mut BytesMut, mut value: usize) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            out.put_u8(low);
            return;
        }
        out.put_u8(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use rumqttc::mqttbytes::v4;
    use rumqttc::v5::mqttbytes::v5;

    use super::*;

    #[test]
    fn another_codec_reads_it_in_3_1_1() {
        let mut out = BytesMut::new();
        accept(&mut out, Version::V4, &Terms::default());
        refuse(&mut out, Version::V4, Reason::BadUserNameOrPassword, "why");
        puback(&mut out, Version::V4, 258, Reason::NotAuthorized, Some("why"));
        suback(&mut out, Version::V4, 3, &[1, 0x80]);
        unsuback(&mut out, Version::V4, 4, &[0]);
        publish(&mut out, Version::V4, "t", Some(5), &[b'x'; 300]);
        pingresp(&mut out);
        disconnect(&mut out, Version::V4, Reason::ProtocolError, "why");
        let mut packets = Vec::new();
        while let Ok(packet) = v4::Packet::read(&mut out, 1 << 20) {
            packets.push(format!("{packet:?}"));
        }
        assert!(out.is_empty());
        for (packet, part) in packets.iter().zip([
            "Success",
            "BadUserNamePassword",
            "258",
            "Failure",
            "4",
            "300",
            "PingResp",
        ]) {
            assert!(packet.contains(part), "{packet} has no {part}");
        }
        assert_eq!(packets.len(), 7);
    }

    #[test]
    fn another_codec_reads_it_in_5() {
        let mut out = BytesMut::new();
        let terms = Terms {
            receive_maximum: 64,
            maximum_packet: 1024,
            assigned_id: Some("given".to_owned()),
        };
        accept(&mut out, Version::V5, &terms);
        refuse(&mut out, Version::V5, Reason::NotAuthorized, "because");
        puback(&mut out, Version::V5, 7, Reason::PayloadFormatInvalid, Some("because"));
        puback(&mut out, Version::V5, 8, Reason::Success, None);
        suback(&mut out, Version::V5, 3, &[1, 0x87]);
        unsuback(&mut out, Version::V5, 4, &[0]);
        publish(&mut out, Version::V5, "t", None, b"x");
        disconnect(&mut out, Version::V5, Reason::SessionTakenOver, "because");
        let mut packets = Vec::new();
        while let Ok(packet) = v5::Packet::read(&mut out, Some(1 << 20)) {
            packets.push(format!("{packet:?}"));
        }
        assert!(out.is_empty());
        let parts = [
            "given",
            "because",
            "PayloadFormatInvalid",
            "8",
            "NotAuthorized",
            "4",
            "b\"t\"",
            "SessionTakenOver",
        ];
        for (packet, part) in packets.iter().zip(parts) {
            assert!(packet.contains(part), "{packet} has no {part}");
        }
        assert_eq!(packets.len(), 8);
    }
}
