//! A plain thread that aborts the process when the async runtime makes no progress for 10 s; the supervisor starts it again.
//! Where systemd watches the process, the thread tells it of progress, so that a process that hangs as a whole is ended, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longest time without progress.
const LIMIT: Duration = Duration::from_secs(10);

/// Starts the guard; must be called inside the runtime it guards.
pub(crate) fn guard() -> std::io::Result<()> {
    let ticks = Arc::new(AtomicU64::new(0));
    let ticking = ticks.clone();
    drop(tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            ticking.fetch_add(1, Ordering::Relaxed);
        }
    }));
    std::thread::Builder::new()
        .name("stall-guard".to_owned())
        .spawn(move || watch(&ticks))?;
    Ok(())
}

fn watch(ticks: &AtomicU64) {
    let mut last = (ticks.load(Ordering::Relaxed), Instant::now());
    loop {
        std::thread::park_timeout(Duration::from_secs(1));
        let now = ticks.load(Ordering::Relaxed);
        if now != last.0 {
            last = (now, Instant::now());
            tell_supervisor(sd_notify::NotifyState::Watchdog);
        } else if last.1.elapsed() >= LIMIT {
            tracing::error!("no progress for 10 s, aborting");
            std::process::abort();
        }
    }
}

/// Tells systemd, where it asked to be told.
pub(crate) fn tell_supervisor(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "systemd could not be told");
    }
}
