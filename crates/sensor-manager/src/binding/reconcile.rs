//! Bindings follow the registry: whenever it changes, and now and then.

use std::time::Duration;

use runtime::Duty;
use tokio_util::sync::CancellationToken;

use super::handlers::Bindings;

/// Between looks that nothing has called for: another copy may have bound by a registry that was older.
const PERIOD: Duration = Duration::from_secs(5);
/// After a failure.
const RETRY: Duration = Duration::from_secs(1);

/// Runs until shutdown.
///
/// # Errors
/// Never; what fails is tried again.
pub async fn run(bindings: Bindings, duty: Duty, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut changes = bindings.directory.changes();
    loop {
        // Two whose pictures of the registry differ would undo each other's work.
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = duty.taken() => {}
        }
        changes.mark_unchanged();
        let pause = match bindings.reconcile().await {
            Ok(()) => PERIOD,
            Err(error) => {
                tracing::debug!(%error, "bindings wait");
                RETRY
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = changes.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}
