//! The lease of a connection.

use common::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::delivery::gateway::Gateway;
use crate::delivery::store::Session;

/// Renews a lease until it is dropped, then frees it.
pub(super) struct Keeper {
    over: watch::Receiver<bool>,
    _end: DropGuard,
}

impl Keeper {
    pub(super) fn start(gateway: Gateway, session: Session) -> Self {
        let (lost, over) = watch::channel(false);
        let end = CancellationToken::new();
        let ended = end.clone();
        drop(tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = ended.cancelled() => break,
                    () = tokio::time::sleep(gateway.pace.renew) => {}
                }
                match gateway.sessions.renew(session, Timestamp::now()).await {
                    Ok(true) => {}
                    Ok(false) => {
                        lost.send_replace(true);
                        return;
                    }
                    // Nobody else can take it either without the store; checkpoints are guarded by the session itself.
                    Err(error) => tracing::debug!(%error, "a lease waits for the store"),
                }
            }
            if let Err(error) = gateway.sessions.free(session, Timestamp::now()).await {
                tracing::debug!(%error, "a lease was not freed; it ends by itself");
            }
        }));
        Self {
            over,
            _end: end.drop_guard(),
        }
    }

    pub(super) async fn lost(&mut self) {
        if self.over.wait_for(|over| *over).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
