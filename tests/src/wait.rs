//! Waiting for a condition, with a deadline. Nothing here sleeps for a guess.

use std::future::Future;
use std::time::{Duration, Instant};

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
        match ask().await {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => {}
            Err(error) => last = format!("{error:#}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("after {} s still waiting: {what} (last: {last})", deadline.as_secs())
}
