use proptest::prelude::*;
use rumqttc::mqttbytes::v4;

use super::*;

const MAX: usize = 1 << 18;

fn v4_bytes(packet: &v4::Packet) -> BytesMut {
    let mut bytes = BytesMut::new();
    packet.write(&mut bytes, MAX).unwrap();
    bytes
}

#[test]
fn reads_what_another_codec_writes() {
    let mut connect = v4::Connect::new("me");
    connect.set_login("user", "pass");
    connect.last_will = Some(v4::LastWill::new("bye", "x", rumqttc::QoS::AtLeastOnce, true));
    let greeting = read_connect(&mut v4_bytes(&v4::Packet::Connect(connect)), MAX)
        .unwrap()
        .unwrap();
    assert_eq!(
        (greeting.version, greeting.client_id.as_str(), greeting.keep_alive),
        (Version::V4, "me", 10)
    );
    assert_eq!(
        (greeting.user_name.as_deref(), greeting.password.as_deref()),
        (Some("user"), Some(&b"pass"[..]))
    );
    let mut publish = v4::Publish::new("a/b", rumqttc::QoS::AtLeastOnce, "payload");
    publish.pkid = 7;
    let mut bytes = v4_bytes(&v4::Packet::Publish(publish));
    bytes.extend_from_slice(&v4_bytes(&v4::Packet::PingReq));
    let Ok(Some(Packet::Publish(read_publish))) = read(&mut bytes, Version::V4, MAX) else {
        panic!("no publish");
    };
    assert_eq!((read_publish.id, &read_publish.payload[..]), (Some(7), &b"payload"[..]));
    assert_eq!(read(&mut bytes, Version::V4, MAX), Ok(Some(Packet::PingReq)));
    assert_eq!(read(&mut bytes, Version::V4, MAX), Ok(None));
}

#[test]
fn version_5_properties_and_a_plain_disconnect() {
    let mut bytes = BytesMut::from(&b"\x32\x15\0\x01t\0\x05\x0d\x03\0\x02ab\x26\0\x01k\0\x01vX"[..]);
    bytes[1] = u8::try_from(bytes.len() - 2).unwrap();
    bytes[7] = u8::try_from(bytes.len() - 2 - 7).unwrap();
    let Ok(Some(Packet::Publish(publish))) = read(&mut bytes, Version::V5, MAX) else {
        panic!("no publish");
    };
    assert_eq!(
        (publish.content_type.as_deref(), &publish.payload[..]),
        (Some("ab"), &b"X"[..])
    );
    let mut bye = BytesMut::from(&b"\xe0\x00\xe0\x01\x04\xf0\x00"[..]);
    assert_eq!(read(&mut bye, Version::V5, MAX), Ok(Some(Packet::Disconnect)));
    assert_eq!(read(&mut bye, Version::V5, MAX), Ok(Some(Packet::Disconnect)));
    assert_eq!(
        read(&mut bye, Version::V5, MAX).unwrap_err().reason,
        Reason::ProtocolError
    );
}

#[test]
fn faults_have_their_reason() {
    for (bytes, reason) in [
        (&b"\x30\xff\xff\xff\x7f"[..], Reason::PacketTooLarge),
        (b"\x30\xff\xff\xff\xff\x01", Reason::MalformedPacket),
        (b"\x34\x05\0\x01a\0\x01", Reason::QosNotSupported),
        (b"\x36\x05\0\x01a\0\x01", Reason::MalformedPacket),
        (b"\x32\x05\0\x01a\0\0", Reason::MalformedPacket),
        (b"\x30\x04\0\x02\xff\xff", Reason::MalformedPacket),
        (b"\x62\x02\0\x01", Reason::QosNotSupported),
        (b"\x10\x00", Reason::ProtocolError),
        (b"\x82\x02\0\x01", Reason::ProtocolError),
        (b"\x80\x02\0\x01", Reason::MalformedPacket),
        (b"\x20\x02\0\0", Reason::MalformedPacket),
    ] {
        let error = read(&mut BytesMut::from(bytes), Version::V4, MAX).unwrap_err();
        assert_eq!(error.reason, reason, "{bytes:x?}: {}", error.text);
    }
    for (bytes, reason) in [
        (&b"GET / HTTP/1.1"[..], Reason::ProtocolError),
        (
            b"\x10\x0c\0\x06MQIsdp\x03\x02\0\x05",
            Reason::UnsupportedProtocolVersion,
        ),
        (b"\x10\x0a\0\x04MQTT\x06\x02\0\x05", Reason::UnsupportedProtocolVersion),
        (b"\x10\x0a\0\x04MQTT\x04\x03\0\x05", Reason::MalformedPacket),
        (b"\x10\x08\0\x04MQTT\x04\x02", Reason::MalformedPacket),
    ] {
        let error = read_connect(&mut BytesMut::from(bytes), MAX).unwrap_err();
        assert_eq!(error.reason, reason, "{bytes:x?}: {}", error.text);
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..64), v5 in any::<bool>(), kind in 1_u8..16, framed in any::<bool>()) {
        if framed && bytes.len() > 2 {
            bytes[0] = (kind << 4) | (bytes[0] & 0x0f);
            bytes[1] = u8::try_from(bytes.len() - 2).unwrap();
        }
        let version = if v5 { Version::V5 } else { Version::V4 };
        let mut input = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = read(&mut input, version, MAX) {}
        drop(read_connect(&mut BytesMut::from(&bytes[..]), MAX));
    }

    #[test]
    fn a_packet_in_pieces_is_the_same(at in 0_usize..20) {
        let whole = v4_bytes(&v4::Packet::Publish(v4::Publish::new("topic", rumqttc::QoS::AtMostOnce, "payload!")));
        let at = at.min(whole.len());
        let mut input = BytesMut::from(&whole[..at]);
        let first = read(&mut input, Version::V4, MAX).unwrap();
        input.extend_from_slice(&whole[at..]);
        let second = read(&mut input, Version::V4, MAX).unwrap();
        prop_assert_eq!(first.or(second).is_some(), true);
        prop_assert!(input.is_empty());
    }
}
