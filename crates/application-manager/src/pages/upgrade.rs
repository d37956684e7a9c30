//! After a change of protocol (WebSocket) both sides are joined, byte by byte.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::pool::InFlight;

/// Copies between the two until one ends; the request counts as in flight for that long.
pub(super) async fn join(from_browser: OnUpgrade, to_replica: OnUpgrade, in_flight: InFlight) {
    let (browser, replica) = match tokio::try_join!(from_browser, to_replica) {
        Ok(both) => both,
        Err(error) => {
            tracing::debug!(%error, replica = in_flight.address(), "a change of protocol failed");
            return;
        }
    };
    let (mut browser, mut replica) = (TokioIo::new(browser), TokioIo::new(replica));
    if let Err(error) = tokio::io::copy_bidirectional(&mut browser, &mut replica).await {
        tracing::debug!(%error, replica = in_flight.address(), "a connection broke");
    }
}
