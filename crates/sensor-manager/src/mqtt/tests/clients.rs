//! rumqttc as the client: 3.1.1 and 5.

use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet};

use super::*;

/// How long a test waits for anything.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn v4(endpoint: &Endpoint, client_id: &str, secret: &str) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(client_id, endpoint.address.ip().to_string(), endpoint.address.port());
    options.set_credentials(fixtures::connector().to_string(), secret);
    options.set_manual_acks(true);
    options.set_inflight(500);
    AsyncClient::new(options, 1000)
}

pub(super) fn v5(endpoint: &Endpoint, secret: &str) -> (rumqttc::v5::AsyncClient, rumqttc::v5::EventLoop) {
    let mut options = rumqttc::v5::MqttOptions::new("v5", endpoint.address.ip().to_string(), endpoint.address.port());
    options.set_credentials(fixtures::connector().to_string(), secret);
    rumqttc::v5::AsyncClient::new(options, 1000)
}

/// Returns the next packet; the text of the error when the connection ends.
pub(super) async fn next(events: &mut EventLoop) -> Result<Packet, String> {
    loop {
        match tokio::time::timeout(PATIENCE, events.poll())
            .await
            .expect("nothing came")
        {
            Ok(Event::Incoming(packet)) => return Ok(packet),
            Ok(Event::Outgoing(_)) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

pub(super) async fn next5(events: &mut rumqttc::v5::EventLoop) -> Result<rumqttc::v5::mqttbytes::v5::Packet, String> {
    loop {
        match tokio::time::timeout(PATIENCE, events.poll())
            .await
            .expect("nothing came")
        {
            Ok(rumqttc::v5::Event::Incoming(packet)) => return Ok(packet),
            Ok(rumqttc::v5::Event::Outgoing(_)) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}
