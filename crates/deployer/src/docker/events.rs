//! What happens to containers: a hint to look, never more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use tokio::sync::Notify;

use super::{Engine, EngineError};

/// Wakes the executor whenever a container of this installation starts or ends. Never returns.
pub(crate) async fn watch(engine: Engine, wake: Arc<Notify>) -> anyhow::Result<()> {
    loop {
        if let Err(error) = follow(&engine, &wake).await {
            tracing::debug!(%error, "events of the Engine are interrupted");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn follow(engine: &Engine, wake: &Notify) -> Result<(), EngineError> {
    let mut filters: HashMap<String, Vec<String>> = engine.own();
    filters.insert("type".to_owned(), vec!["container".to_owned()]);
    filters.insert(
        "event".to_owned(),
        ["start", "die", "oom", "destroy"].map(ToOwned::to_owned).to_vec(),
    );
    let mut events = engine
        .client()
        .await?
        .events(Some(EventsOptionsBuilder::new().filters(&filters).build()));
    while let Some(event) = events.next().await {
        event?;
        // The Swarm's manager learns of it a moment later than the Engine.
        tokio::time::sleep(Duration::from_millis(150)).await;
        wake.notify_one();
    }
    Ok(())
}
