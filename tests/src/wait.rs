//! Waiting for a condition, with a deadline. Nothing here sleeps for a guess.

use std::future::Future;
use std::time::{Duration, Instant};

/// Between two questions; what takes longer to answer is asked after as long again, so that asking takes no more than half of the time.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(1);

/// Asks again and again until the answer is `Ok(Some(_))`; the error of a missed deadline tells the last answer.
///
/// # Errors
/// When the deadline passes.
pub async fn until<T, F, W>(what: &str, deadline: Duration, mut ask: F) -> anyhow::Result<T>
where
    F: FnMut() -> W,
    W: Future<Output = anyhow::Result<Option<T>>>,
{
    let began = Instant::now();
    let mut last = "not yet".to_owned();
    while began.elapsed() < deadline {
        let asked = Instant::now();
        match ask().await {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => {}
            Err(error) => last = format!("{error:#}"),
        }
        tokio::time::sleep(asked.elapsed().clamp(PAUSE, LONGEST)).await;
    }
    anyhow::bail!("after {} s still waiting: {what} (last: {last})", deadline.as_secs())
}
