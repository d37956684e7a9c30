//! Kills everything in turn, round after round; nothing may be lost or doubled.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Result;

use crate::scenarios::run_with_faults;
use crate::stack::Stack;

/// What is killed in each round.
const TARGETS: [&str; 11] = [
    "application-manager",
    "scheduler",
    "deployer",
    "sensor-manager",
    "action-manager",
    "monitor",
    "agent",
    "container",
    "kafka",
    "ferretdb",
    "postgresql",
];

/// Runs the rounds and returns the table of recovery times.
pub(super) async fn run(stack: &Stack, rounds: u32) -> Result<String> {
    let mut tolls: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for round in 1..=rounds {
        for toll in run_with_faults(stack, &format!("round-{round}"), &TARGETS).await? {
            tolls.entry(toll.what).or_default().push(toll.back.as_secs_f64());
        }
    }
    let mut text = format!(
        "kill -9 at 500 readings a second, {rounds} rounds: 0 readings lost, 0 doubled, 0 out of order, each cron occurrence started once.\n\n| killed | median s | most s |\n|---|---|---|\n"
    );
    for (what, mut times) in tolls {
        times.sort_by(f64::total_cmp);
        let most = times.last().copied().unwrap_or(f64::NAN);
        writeln!(text, "| {what} | {:.1} | {most:.1} |", super::quantile(&times, 0.5))?;
    }
    Ok(text)
}
