//! CONNECT and CONNACK.

use std::sync::Arc;

use bytes::BytesMut;
use common::messages::registry::Connector;

use super::encode::{self, Terms};
use super::packet::{Connect, Fault, Reason, Version};
use super::{Limits, decode};
use crate::credentials;
use crate::registry::Directory;

/// Longest client id, in bytes.
const MAX_CLIENT_ID: usize = 256;

/// What came of the first packet.
pub(crate) enum Greeting {
    /// There are not enough bytes yet.
    Incomplete,
    /// The client is in; CONNACK says so.
    Accepted(Box<Connect>, Arc<Connector>),
    /// It is not; CONNACK says why, if it understands CONNACK at all.
    Refused(Fault),
}

/// Reads the first packet and writes the answer.
pub(crate) fn greet(input: &mut BytesMut, out: &mut BytesMut, directory: &Directory, limits: &Limits) -> Greeting {
    let mut connect = match decode::read_connect(input, limits.max_packet) {
        Ok(None) => return Greeting::Incomplete,
        Ok(Some(connect)) => connect,
        Err(fault) => {
            // Only a version that is not spoken gets an answer, and in a form that every version reads.
            if fault.reason == Reason::UnsupportedProtocolVersion {
                encode::refuse(out, Version::V4, fault.reason, &fault.text);
            }
            return Greeting::Refused(fault);
        }
    };
    match admit(&mut connect, directory) {
        Ok((connector, assigned_id)) => {
            let terms = Terms {
                receive_maximum: limits.receive_maximum,
                maximum_packet: u32::try_from(limits.max_packet).unwrap_or(u32::MAX),
                assigned_id,
            };
            encode::accept(out, connect.version, &terms);
            Greeting::Accepted(Box::new(connect), connector)
        }
        Err(fault) => {
            encode::refuse(out, connect.version, fault.reason, &fault.text);
            Greeting::Refused(fault)
        }
    }
}

fn admit(connect: &mut Connect, directory: &Directory) -> Result<(Arc<Connector>, Option<String>), Fault> {
    if let Some(method) = &connect.authentication_method {
        let method: String = method.chars().take(60).collect();
        let text = format!("authentication method `{method}` is not supported; allowed are user name and password");
        return Err(Fault::new(Reason::BadAuthenticationMethod, text));
    }
    if connect.client_id.len() > MAX_CLIENT_ID {
        let text = format!(
            "a client id of {} bytes; allowed are {MAX_CLIENT_ID}",
            connect.client_id.len()
        );
        return Err(Fault::new(Reason::ClientIdNotValid, text));
    }
    if connect.client_id.is_empty() && connect.version == Version::V4 && !connect.clean {
        let text = "an empty client id without a clean session; allowed is one of them";
        return Err(Fault::new(Reason::ClientIdNotValid, text));
    }
    let user = connect.user_name.as_deref().unwrap_or_default();
    let secret = connect.password.as_deref().unwrap_or_default();
    let connector = credentials::sign_in(directory, user, secret)
        .ok_or_else(|| Fault::new(Reason::BadUserNameOrPassword, credentials::DENIED))?;
    let assigned = connect.client_id.is_empty().then(|| uuid::Uuid::new_v4().to_string());
    if let Some(id) = &assigned {
        connect.client_id.clone_from(id);
    }
    Ok((connector, assigned))
}
