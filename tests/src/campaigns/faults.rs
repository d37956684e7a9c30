//! The table of faults on three hosts.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;

use super::quantile;
use crate::scenarios::faults::{Fault, table};

/// How long a host is without its network.
const PARTITION: Duration = Duration::from_secs(60);

/// Plays the rounds and returns the table.
pub(super) async fn run(rounds: u32, only: Option<&str>) -> Result<String> {
    super::hosts::prepare().await?;
    let figures = table(rounds, PARTITION, only).await?;
    let mut text = "\
Three hosts (containers with systemd on one machine), two copies of each service, Kafka and MongoDB on the first; for the rows with three brokers one on each host and one copy of each service. \
150 readings/s, and two occurrences due in each row. Every acknowledged reading was counted once and every occurrence ran once, else there is no result.\n\n\
| Fault | Counted until | Target | Median | Maximum |\n|---|---|---|---|---|\n"
        .to_owned();
    let alone = figures.iter().any(|(fault, _)| *fault == Fault::DatabaseHostKilled);
    for (fault, mut times) in figures {
        times.sort_by(f64::total_cmp);
        let (name, what, target) = fault.row();
        let (median, maximum) = (quantile(&times, 0.5), quantile(&times, 1.0));
        let allowed = target.map_or_else(|| "none".to_owned(), |target| format!("{target:.0} s"));
        let missed = if target.is_some_and(|target| maximum > target) {
            " (missed)"
        } else {
            ""
        };
        writeln!(
            text,
            "| {name} | {what} | {allowed} | {median:.1} s | {maximum:.1} s{missed} |"
        )?;
    }
    if alone {
        text.push_str(
            "\nWhile the host with Kafka and MongoDB was away (60 s), another one acknowledged no reading and no change.\n",
        );
    }
    Ok(text)
}
