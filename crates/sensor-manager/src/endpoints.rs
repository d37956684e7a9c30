//! Where sensors and devices connect: MQTT and HTTP, with what both share.

use runtime::Context;

use crate::devices::Commands;
use crate::registry::Directory;
use crate::{http, ingest, mqtt};

/// Starts both endpoints. They listen at once and answer when the registry has been read: what it does not know is refused.
///
/// # Errors
/// When a port can not be listened on.
pub async fn start(context: &Context, directory: &Directory) -> anyhow::Result<()> {
    let ingest = ingest::shared(context.bus.clone(), directory.clone());
    let commands = Commands::start(context, ingest.clone());
    mqtt::start(context, ingest.clone(), commands.clone()).await?;
    http::start(context, ingest, commands).await
}
