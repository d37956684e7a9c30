//! What MQTT 3.1.1 and 5 say, as far as an endpoint of `QoS` 0 and 1 needs it.

use bytes::Bytes;

/// Version of the protocol, which the client names first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// 3.1.1.
    V4,
    /// 5.
    V5,
}

/// Reason codes of MQTT 5; in 3.1.1 only CONNACK has codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Reason {
    Success = 0x00,
    MalformedPacket = 0x81,
    ProtocolError = 0x82,
    UnsupportedProtocolVersion = 0x84,
    ClientIdNotValid = 0x85,
    BadUserNameOrPassword = 0x86,
    NotAuthorized = 0x87,
    ServerUnavailable = 0x88,
    ServerShuttingDown = 0x8b,
    BadAuthenticationMethod = 0x8c,
    KeepAliveTimeout = 0x8d,
    SessionTakenOver = 0x8e,
    TopicNameInvalid = 0x90,
    ReceiveMaximumExceeded = 0x93,
    TopicAliasInvalid = 0x94,
    PacketTooLarge = 0x95,
    PayloadFormatInvalid = 0x99,
    QosNotSupported = 0x9b,
}

impl Reason {
    /// Returns the code of a 3.1.1 CONNACK.
    pub(crate) fn connect_code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::UnsupportedProtocolVersion => 1,
            Self::ClientIdNotValid => 2,
            Self::BadUserNameOrPassword => 4,
            Self::NotAuthorized | Self::BadAuthenticationMethod => 5,
            _ => 3,
        }
    }
}

/// Why the client's bytes can not be gone on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: Reason,
    /// What was found and what is allowed.
    pub(crate) text: String,
}

impl Fault {
    pub(crate) fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self {
            reason,
            text: text.into(),
        }
    }

    pub(crate) fn malformed(text: impl Into<String>) -> Self {
        Self::new(Reason::MalformedPacket, text)
    }
}

/// How a client introduces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Connect {
    pub(crate) version: Version,
    pub(crate) client_id: String,
    /// Clean session (3.1.1), clean start (5).
    pub(crate) clean: bool,
    /// Seconds; 0 is none.
    pub(crate) keep_alive: u16,
    pub(crate) user_name: Option<String>,
    pub(crate) password: Option<Bytes>,
    /// `QoS` 1 publishes that the client takes at once.
    pub(crate) receive_maximum: u16,
    /// Largest packet that the client takes.
    pub(crate) maximum_packet: u32,
    /// Whether reason texts may go beyond CONNACK and DISCONNECT.
    pub(crate) wants_reasons: bool,
    /// Enhanced authentication, which is not supported.
    pub(crate) authentication_method: Option<String>,
}

/// What a client publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Publish {
    pub(crate) topic: String,
    /// The packet id; none at `QoS` 0.
    pub(crate) id: Option<u16>,
    pub(crate) payload: Bytes,
    pub(crate) content_type: Option<String>,
}

/// What a client sends after CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet {
    Publish(Publish),
    PubAck { id: u16 },
    Subscribe { id: u16, filters: Vec<(String, u8)> },
    Unsubscribe { id: u16, filters: Vec<String> },
    PingReq,
    Disconnect,
}
