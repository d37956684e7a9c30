//! From bytes to packets. Never panics, never takes more than the largest packet.

use bytes::{Buf, Bytes, BytesMut};

use super::packet::{Connect, Fault, Packet, Publish, Reason, Version};

/// Reads the first packet; `None` when there are not enough bytes yet.
pub(crate) fn read_connect(input: &mut BytesMut, max: usize) -> Result<Option<Connect>, Fault> {
    // Whoever speaks another protocol is told apart by the first byte.
    if input.first().is_some_and(|first| *first != 0x10) {
        return Err(Fault::new(Reason::ProtocolError, "the first packet is not CONNECT"));
    }
    let Some((_, mut body)) = frame(input, max)? else {
        return Ok(None);
    };
    connect(&mut body).map(Some)
}

/// Reads the next packet; `None` when there are not enough bytes yet.
pub(crate) fn read(input: &mut BytesMut, version: Version, max: usize) -> Result<Option<Packet>, Fault> {
    let Some((header, body)) = frame(input, max)? else {
        return Ok(None);
    };
    let (kind, flags) = (header >> 4, header & 0x0f);
    let wanted = if matches!(kind, 6 | 8 | 10) { 2 } else { 0 };
    if kind != 3 && flags != wanted {
        return Err(Fault::malformed(format!(
            "packet type {kind} has flags {flags}; allowed is {wanted}"
        )));
    }
    packet(kind, flags, body, version).map(Some)
}

fn packet(kind: u8, flags: u8, mut body: Body, version: Version) -> Result<Packet, Fault> {
    match kind {
        1 => Err(Fault::new(Reason::ProtocolError, "a second CONNECT")),
        3 => publish(flags, body, version).map(Packet::Publish),
        4 => {
            let id = body.packet_id()?;
            Ok(Packet::PubAck { id })
        }
        5..=7 => Err(Fault::new(
            Reason::QosNotSupported,
            "QoS 2 is not supported; allowed are QoS 0 and 1",
        )),
        8 => {
            let (id, filters) = filters(&mut body, version, |body| Ok((body.text()?, body.u8()?)))?;
            if filters
                .iter()
                .any(|(_, options)| options & 3 == 3 || (version == Version::V4 && *options > 2))
            {
                return Err(Fault::malformed("a subscription has options that do not exist"));
            }
            let filters = filters
                .into_iter()
                .map(|(filter, options)| (filter, options & 3))
                .collect();
            Ok(Packet::Subscribe { id, filters })
        }
        10 => {
            let (id, filters) = filters(&mut body, version, Body::text)?;
            Ok(Packet::Unsubscribe { id, filters })
        }
        12 => Ok(Packet::PingReq),
        14 => Ok(Packet::Disconnect),
        15 if version == Version::V5 => Err(Fault::new(
            Reason::ProtocolError,
            "enhanced authentication is not supported; allowed are user name and password",
        )),
        _ => Err(Fault::malformed(format!(
            "packet type {kind} is not for a client to send"
        ))),
    }
}

fn filters<T>(
    body: &mut Body,
    version: Version,
    one: impl Fn(&mut Body) -> Result<T, Fault>,
) -> Result<(u16, Vec<T>), Fault> {
    let id = body.packet_id()?;
    if version == Version::V5 {
        body.properties()?;
    }
    let mut filters = Vec::new();
    while body.0.has_remaining() {
        filters.push(one(body)?);
    }
    if filters.is_empty() {
        return Err(Fault::new(Reason::ProtocolError, "a subscription without a topic"));
    }
    Ok((id, filters))
}

fn publish(flags: u8, mut body: Body, version: Version) -> Result<Publish, Fault> {
    let qos = (flags >> 1) & 3;
    if qos == 3 {
        return Err(Fault::malformed("QoS 3 does not exist; allowed are QoS 0 and 1"));
    }
    if qos == 2 {
        return Err(Fault::new(
            Reason::QosNotSupported,
            "QoS 2 is not supported; allowed are QoS 0 and 1",
        ));
    }
    let topic = body.text()?;
    let id = if qos == 0 { None } else { Some(body.packet_id()?) };
    let properties = match version {
        Version::V4 => Properties::default(),
        Version::V5 => body.properties()?,
    };
    if properties.topic_alias.is_some() {
        return Err(Fault::new(
            Reason::TopicAliasInvalid,
            "topic aliases are not supported; the topic has to be written out",
        ));
    }
    Ok(Publish {
        topic,
        id,
        payload: body.0,
        content_type: properties.content_type,
    })
}

fn connect(body: &mut Body) -> Result<Connect, Fault> {
    let name = body.text()?;
    let version = match (name.as_str(), body.u8()?) {
        ("MQTT", 4) => Version::V4,
        ("MQTT", 5) => Version::V5,
        (_, level) => {
            return Err(Fault::new(
                Reason::UnsupportedProtocolVersion,
                format!("protocol level {level} is not supported; allowed are MQTT 3.1.1 (4) and 5"),
            ));
        }
    };
    let flags = body.u8()?;
    let (will, user, password) = (flags & 0x04 != 0, flags & 0x80 != 0, flags & 0x40 != 0);
    let will_qos = (flags >> 3) & 3;
    let bad_will = will_qos == 3 || (!will && flags & 0x38 != 0);
    if flags & 1 != 0 || bad_will || (version == Version::V4 && password && !user) {
        return Err(Fault::malformed(format!(
            "CONNECT has flags {flags:#04x} that do not exist"
        )));
    }
    let keep_alive = body.u16()?;
    let properties = match version {
        Version::V4 => Properties::default(),
        Version::V5 => body.properties()?,
    };
    let client_id = body.text()?;
    if will {
        // A will is read and ignored: only sensors and devices speak on the platform's topics.
        if version == Version::V5 {
            body.properties()?;
        }
        body.text()?;
        body.binary()?;
    }
    let user_name = if user { Some(body.text()?) } else { None };
    let password = if password { Some(body.binary()?) } else { None };
    if properties.receive_maximum == Some(0) || properties.maximum_packet == Some(0) {
        return Err(Fault::new(
            Reason::ProtocolError,
            "a maximum of 0; allowed is 1 and more",
        ));
    }
    Ok(Connect {
        version,
        client_id,
        clean: flags & 0x02 != 0,
        keep_alive,
        user_name,
        password,
        receive_maximum: properties.receive_maximum.unwrap_or(u16::MAX),
        maximum_packet: properties.maximum_packet.unwrap_or(u32::MAX),
        wants_reasons: properties.wants_reasons != Some(0),
        authentication_method: properties.authentication_method,
    })
}

/// Takes a whole packet off the input.
fn frame(input: &mut BytesMut, max: usize) -> Result<Option<(u8, Body)>, Fault> {
    let Some(header) = input.first().copied() else {
        return Ok(None);
    };
    let mut length = 0_usize;
    for at in 0..4 {
        let Some(byte) = input.get(1 + at) else {
            return Ok(None);
        };
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 != 0 {
            continue;
        }
        let start = 2 + at;
        if start + length > max {
            return Err(Fault::new(
                Reason::PacketTooLarge,
                format!("a packet of {} bytes; allowed are {max}", start + length),
            ));
        }
        if input.len() < start + length {
            return Ok(None);
        }
        let mut packet = input.split_to(start + length).freeze();
        packet.advance(start);
        return Ok(Some((header, Body(packet))));
    }
    Err(Fault::malformed("the length of a packet has more than 4 bytes"))
}

/// Properties that the endpoint looks at.
#[derive(Debug, Default)]
struct Properties {
    receive_maximum: Option<u16>,
    maximum_packet: Option<u32>,
    wants_reasons: Option<u8>,
    authentication_method: Option<String>,
    content_type: Option<String>,
    topic_alias: Option<u16>,
}

/// What is left of a packet.
struct Body(Bytes);

impl Body {
    fn need(&self, count: usize) -> Result<(), Fault> {
        if self.0.remaining() < count {
            return Err(Fault::malformed("a packet ends in the middle of a field"));
        }
        Ok(())
    }

    fn u8(&mut self) -> Result<u8, Fault> {
        self.need(1)?;
        Ok(self.0.get_u8())
    }

    fn u16(&mut self) -> Result<u16, Fault> {
        self.need(2)?;
        Ok(self.0.get_u16())
    }

    fn u32(&mut self) -> Result<u32, Fault> {
        self.need(4)?;
        Ok(self.0.get_u32())
    }

    fn packet_id(&mut self) -> Result<u16, Fault> {
        match self.u16()? {
            0 => Err(Fault::malformed("packet id 0; allowed are 1 to 65535")),
            id => Ok(id),
        }
    }

    fn binary(&mut self) -> Result<Bytes, Fault> {
        let length = usize::from(self.u16()?);
        self.need(length)?;
        Ok(self.0.split_to(length))
    }

    fn text(&mut self) -> Result<String, Fault> {
        let bytes = self.binary()?;
        match std::str::from_utf8(&bytes) {
            Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
            _ => Err(Fault::malformed("a text is not UTF-8 or has a null character")),
        }
    }

    fn varint(&mut self) -> Result<usize, Fault> {
        let mut value = 0_usize;
        for at in 0..4 {
            let byte = self.u8()?;
            value |= usize::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Fault::malformed("a number has more than 4 bytes"))
    }

    fn properties(&mut self) -> Result<Properties, Fault> {
        let length = self.varint()?;
        self.need(length)?;
        let mut list = Self(self.0.split_to(length));
        let mut found = Properties::default();
        while list.0.has_remaining() {
            list.property(&mut found)?;
        }
        Ok(found)
    }

    fn property(&mut self, found: &mut Properties) -> Result<(), Fault> {
        match self.varint()? {
            0x17 => found.wants_reasons = Some(self.u8()?),
            0x01 | 0x19 | 0x24 | 0x25 | 0x28..=0x2a => drop(self.u8()?),
            0x21 => found.receive_maximum = Some(self.u16()?),
            0x23 => found.topic_alias = Some(self.u16()?),
            0x13 | 0x22 => drop(self.u16()?),
            0x27 => found.maximum_packet = Some(self.u32()?),
            0x02 | 0x11 | 0x18 => drop(self.u32()?),
            0x0b => drop(self.varint()?),
            0x03 => found.content_type = Some(self.text()?),
            0x15 => found.authentication_method = Some(self.text()?),
            0x08 | 0x12 | 0x1a | 0x1c | 0x1f => drop(self.text()?),
            0x09 | 0x16 => drop(self.binary()?),
            0x26 => {
                self.text()?;
                self.text()?;
            }
            other => return Err(Fault::malformed(format!("property {other:#04x} does not exist"))),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
