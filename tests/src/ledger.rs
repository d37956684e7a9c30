//! What was acknowledged to senders against what an application remembers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// The acknowledged readings of a journal: per sensor, how many distinct (boot, seq).
///
/// # Errors
/// When the journal can not be read, or a reading was acknowledged twice.
pub fn acknowledged(journal: &Path) -> Result<BTreeMap<String, u64>> {
    let mut distinct = BTreeSet::new();
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for reading in simulator::journal::readings(journal)? {
        let sensor = reading.sensor.to_string();
        ensure!(
            distinct.insert((sensor.clone(), reading.boot, reading.seq)),
            "journalled twice: {sensor} {:?} {:?}",
            reading.boot,
            reading.seq
        );
        *counts.entry(sensor).or_default() += 1;
    }
    Ok(counts)
}

/// What `room-comfort` remembers: readings counted per sensor.
///
/// # Errors
/// When the state is not one of room-comfort.
pub fn counted(state: &Value) -> Result<BTreeMap<String, u64>> {
    let sensors = state["sensors"]
        .as_object()
        .with_context(|| format!("no sensors in {state}"))?;
    sensors
        .iter()
        .map(|(sensor, figures)| Ok((sensor.clone(), figures["count"].as_u64().context("a count")?)))
        .collect()
}

/// Compares the two.
///
/// # Errors
/// When a reading is missing or counted twice, or came out of order.
pub fn compare(acknowledged: &BTreeMap<String, u64>, state: &Value) -> Result<()> {
    let counted = counted(state)?;
    ensure!(
        &counted == acknowledged,
        "acknowledged {acknowledged:?}, counted {counted:?}"
    );
    let total: u64 = acknowledged.values().sum();
    ensure!(
        state["count"].as_u64() == Some(total),
        "count is {}, acknowledged were {total}",
        state["count"]
    );
    ensure!(
        state["out_of_order"].as_u64() == Some(0),
        "{} readings came out of order",
        state["out_of_order"]
    );
    Ok(())
}
