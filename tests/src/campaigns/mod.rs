//! Repetitions, counts and comparisons with peers. Each writes what it measured beside the command that made it.

mod exactness;
mod faults;
mod hosts;
mod latency;
mod operations;

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use bootstrap::Profile;

use crate::stack::Stack;

/// Runs a campaign on an installation of its own; returns where the result was written, or of a part the result.
///
/// # Errors
/// When the name is not known, or what should hold does not.
pub async fn run(name: &str, rounds: u32, only: Option<&str>) -> Result<String> {
    let outcome = match name {
        other if only.is_some() && !["faults", "operations"].contains(&other) => {
            bail!("--only is for `faults` and `operations`")
        }
        "faults" => faults::run(rounds, only).await,
        "hosts" => hosts::run(rounds).await,
        "operations" => operations::run(rounds, only).await,
        "exactness" | "latency" => on_a_stack(name, rounds).await,
        _ => bail!("no campaign `{name}`; there are: exactness, faults, hosts, latency, operations"),
    };
    if only.is_some() {
        return outcome;
    }
    let release = if cfg!(debug_assertions) { "" } else { "--release " };
    let text = format!(
        "# {name}\n\n`cargo run {release}-p platform-tests --bin campaign -- {name} --rounds {rounds}` on {}\n\n{}",
        machine(),
        outcome?
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("results")
        .join(format!("{name}.md"));
    std::fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
    Ok(format!("written to {}", path.display()))
}

async fn on_a_stack(name: &str, rounds: u32) -> Result<String> {
    let stack = Stack::up(Profile::Release, false).await?;
    let outcome = match name {
        "exactness" => exactness::run(&stack, rounds).await,
        _ => latency::run(&stack, rounds).await,
    };
    // Whoever looks into a failure wants it as it is.
    if std::env::var_os("KEEP_STACK").is_none() {
        stack.remove().await?;
    }
    outcome
}

/// Plays the short form of the latency campaign as a live test.
///
/// # Errors
/// When it can not be measured.
pub async fn latency_once(stack: &Stack) -> Result<String> {
    latency::run(stack, 1).await
}

/// Says what it was measured on.
fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 = memory
        .split_whitespace()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or_default();
    format!("{cpus} CPUs, {} GiB", kib / 1024 / 1024)
}

/// Returns the value below which that share of the sorted samples lies.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index of a list in memory"
    )]
    let index = (last as f64 * share).round() as usize;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn quantiles_of_sorted_samples() {
        let samples: Vec<f64> = (0..=100).map(f64::from).collect();
        assert_eq!(
            [
                quantile(&samples, 0.5),
                quantile(&samples, 0.99),
                quantile(&samples, 1.0)
            ],
            [50.0, 99.0, 100.0]
        );
        assert!(quantile(&[], 0.5).is_nan());
    }
}
