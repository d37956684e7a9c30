//! Images of the catalogue, kept on this host before anyone needs them: an instance that comes from a lost host starts at once, also when the
//! registry was on that host.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use common::messages::application::{Application, ApplicationEvent, VersionState};
use common::{ApplicationId, Timestamp};
use runtime::{Context, TailFrom, TailItem};
use tokio::sync::watch;

use crate::docker::{Engine, EngineError};

/// Time between two looks at what is missing.
const LOOK: Duration = Duration::from_secs(30);
/// Images of versions that are older than the newest so many of an application are got when they are needed.
const VERSIONS: usize = 3;

/// Applications with their images.
type Catalogue = BTreeMap<ApplicationId, (u64, BTreeSet<String>)>;

/// Follows the catalogue, and gets what this host lacks.
pub(crate) fn keep(context: &Context, engine: Engine) {
    let (sender, receiver) = watch::channel(Catalogue::new());
    let following = follow(context.clone(), sender);
    context.spawn_until_shutdown("catalogue", following);
    context.spawn_until_shutdown("images", hold(engine, receiver));
}

async fn follow(context: Context, catalogue: watch::Sender<Catalogue>) -> anyhow::Result<()> {
    let mut tail = context.tail::<ApplicationEvent>(TailFrom::Beginning).await?;
    let mut caught_up = false;
    // Before the end is reached, what is old would be got first.
    let mut known = Catalogue::new();
    loop {
        match tail.next().await? {
            TailItem::Message(placed) => fold(&mut known, &placed.envelope.message),
            TailItem::CaughtUp => caught_up = true,
            TailItem::Tombstone { .. } | TailItem::Skipped { .. } => {}
        }
        if caught_up {
            catalogue.send_replace(known.clone());
        }
    }
}

fn fold(known: &mut Catalogue, event: &ApplicationEvent) {
    match event {
        ApplicationEvent::Changed { application } => {
            if known
                .get(&application.id)
                .is_none_or(|(version, _)| *version < application.version)
            {
                known.insert(application.id, (application.version, images(application)));
            }
        }
        ApplicationEvent::Deleted { id } => drop(known.remove(id)),
    }
}

/// The images of the newest versions of an application.
fn images(application: &Application) -> BTreeSet<String> {
    let ready = application.versions.iter().filter_map(|version| match &version.state {
        VersionState::Ready { image } => Some((version.uploaded, image.clone())),
        VersionState::Building | VersionState::Failed { .. } => None,
    });
    let mut ready: Vec<(Timestamp, String)> = ready.collect();
    ready.sort_by(|one, other| other.cmp(one));
    ready.into_iter().take(VERSIONS).map(|(_, image)| image).collect()
}

async fn hold(engine: Engine, mut catalogue: watch::Receiver<Catalogue>) -> anyhow::Result<()> {
    let mut held = BTreeSet::new();
    loop {
        let wanted: BTreeSet<String> = catalogue
            .borrow_and_update()
            .values()
            .flat_map(|(_, images)| images.clone())
            .collect();
        for image in &wanted {
            match get(&engine, image).await {
                Ok(new) => {
                    if new {
                        tracing::info!(image, "got an image");
                    }
                    held.insert(image.clone());
                }
                Err(error) => tracing::debug!(image, %error, "an image is got later"),
            }
        }
        // What an instance still runs on, the Engine keeps.
        for image in held.difference(&wanted).cloned().collect::<Vec<_>>() {
            if engine.remove_image(&image).await.is_ok() {
                held.remove(&image);
            }
        }
        tokio::select! {
            changed = catalogue.changed() => changed?,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Gets an image; `false` when it was there.
async fn get(engine: &Engine, image: &str) -> Result<bool, EngineError> {
    if engine.image(image).await?.is_some() {
        return Ok(false);
    }
    engine.pull(image).await?;
    Ok(true)
}
