//! What is done now and then: the first admin, newest values at the start, forgetting what is old.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use common::messages::action::Command;
use common::{SensorId, Timestamp};
use runtime::{Context, Duty};

use crate::app::App;
use crate::archive::{MongoArchive, Shelf};

/// Secret with the one-time password of the first admin.
const FIRST_PASSWORD: &str = "first-admin.password";
/// Pause between two tries while the infrastructure is away.
const AGAIN: Duration = Duration::from_secs(1);
/// Audit entries are kept so many hours.
const AUDIT_HOURS: i64 = 90 * 24;
/// Commands from which the newest one of each device is taken at the start.
const COMMANDS: usize = 2000;

/// Begins all of it.
pub(crate) fn spawn_all(context: &Context, app: &Arc<App>, archive: Arc<MongoArchive>, duty: Duty) {
    let part = context.health.part("first admin");
    context.spawn_until_shutdown("first admin", {
        let (app, settings) = (app.clone(), context.settings.clone());
        async move {
            let password = settings.secret(FIRST_PASSWORD).ok();
            while let Err(error) = first_admin(&app, password.as_deref()).await {
                part.waits_for(&format!("{error:#}"));
                tokio::time::sleep(AGAIN).await;
            }
            part.ready();
            std::future::pending().await
        }
    });
    context.spawn_until_shutdown("newest values", {
        let app = app.clone();
        async move {
            app.view.complete().await;
            newest_values(&app).await;
            std::future::pending().await
        }
    });
    let hours = i64::try_from(context.settings.limits.history_hours).unwrap_or(i64::MAX);
    context.spawn_until_shutdown("forgetting", {
        let app = app.clone();
        async move {
            while let Err(error) = archive.ensure().await {
                tracing::debug!(%error, "indexes wait");
                tokio::time::sleep(AGAIN).await;
            }
            // At first whatever an outage of days has left, then only what has become old.
            let mut all = true;
            loop {
                let now = Timestamp::now();
                app.operations.forget_outcomes(now);
                if duty.held() {
                    match forget(&app, hours, all, now).await {
                        Ok(()) => all = false,
                        Err(error) => tracing::debug!("forgetting waits: {error:#}"),
                    }
                }
                tokio::time::sleep(Duration::from_secs(600)).await;
            }
        }
    });
    context.spawn_until_shutdown("ending of streams", {
        let (app, shutdown) = (app.clone(), context.shutdown.clone());
        async move {
            shutdown.cancelled().await;
            app.hub.close();
            Ok(())
        }
    });
}

async fn first_admin(app: &App, password: Option<&str>) -> anyhow::Result<()> {
    let Some(password) = password else {
        let nobody = app.accounts.accounts.list(&[]).await?.is_empty();
        anyhow::ensure!(
            !nobody,
            "there is no user and no secret {FIRST_PASSWORD}; `bootstrap up` makes it"
        );
        return Ok(());
    };
    if app.accounts.ensure_first_admin(password).await? {
        tracing::info!("made the first admin; the one-time password is in {FIRST_PASSWORD}");
    }
    Ok(())
}

/// Takes the newest reading of each sensor and the newest command of each device from what is kept.
async fn newest_values(app: &App) {
    let now = Timestamp::now();
    let sensors: Vec<SensorId> = app.view.read().sensors.keys().copied().collect();
    for sensor in sensors {
        if app.live.knows(sensor) {
            continue;
        }
        match app
            .archive
            .readings(sensor, now.plus_millis(-25 * 3_600_000), now.plus_millis(3_600_000), 1)
            .await
        {
            Ok(points) => {
                if let Some(point) = points.into_iter().next_back() {
                    app.live.remember(sensor, point);
                }
            }
            Err(error) => {
                tracing::debug!(%error, "newest values come with the next readings");
                break;
            }
        }
    }
    match app.archive.list(Shelf::Commands, &[], None, COMMANDS).await {
        Ok(rows) => {
            for row in rows {
                if let Ok(command) = serde_json::from_str::<Command>(&row.body) {
                    app.live.command(&command);
                }
            }
        }
        Err(error) => tracing::debug!(%error, "newest commands come with the next ones"),
    }
}

async fn forget(app: &App, hours: i64, all: bool, now: Timestamp) -> anyhow::Result<()> {
    for shelf in Shelf::ALL {
        let kept = if shelf == Shelf::Audit { AUDIT_HOURS } else { hours };
        let before = now.plus_millis(kept.saturating_mul(-3_600_000));
        let forgotten = if all {
            app.archive.forget_all(shelf, before).await
        } else {
            app.archive.forget(shelf, before).await
        };
        forgotten.context("records")?;
    }
    app.operations.forget_old(now).await.context("operations")?;
    app.accounts.forget_ended(now).await.context("sessions")?;
    Ok(())
}
