//! What an admin meets on hosts: each as a whole, on hosts of its own.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::quantile;
use crate::say;
use crate::scenarios::{OPERATIONS, Operation};

/// Runs the rounds and returns how long each took.
pub(super) async fn run(rounds: u32, only: Option<&str>) -> Result<String> {
    super::hosts::prepare().await?;
    let wanted = |operation: &&Operation| only.is_none_or(|only| operation.name.contains(only));
    let operations: Vec<&Operation> = OPERATIONS.iter().filter(wanted).collect();
    ensure!(!operations.is_empty(), "no operation has that in its name");
    let mut figures: Vec<Vec<f64>> = operations.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (operation, times) in operations.iter().zip(&mut figures) {
            let began = Instant::now();
            (operation.run)().await.with_context(|| operation.name)?;
            let took = began.elapsed().as_secs_f64();
            say(&format!("    {}: {took:.1} s", operation.name));
            times.push(took);
        }
    }
    let mut text = "\
Three hosts (containers with systemd on one machine) for each line; the time is that of the whole, with making the hosts and `up` from nothing. \
Each refusal had its own words and exit code and did the other hosts no harm; where readings were counted, every acknowledged one was counted once. \
Else there is no result.\n\n| what | median s | most s |\n|---|---|---|\n"
        .to_owned();
    for (operation, mut times) in operations.iter().zip(figures) {
        times.sort_by(f64::total_cmp);
        let most = quantile(&times, 1.0);
        writeln!(
            text,
            "| {} | {:.1} | {most:.1} |",
            operation.name,
            quantile(&times, 0.5)
        )?;
    }
    Ok(text)
}
