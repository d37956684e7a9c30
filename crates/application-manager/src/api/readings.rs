//! Readings of the last day: history that the sensor manager wrote, then what is too new to be there.

use std::collections::BTreeMap;

use common::messages::registry::Property;
use common::{SensorId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::ApiError;
use super::names::NamedRef;
use crate::app::App;
use crate::live::Point;

/// Longest time that can be asked for.
const LONGEST_MILLIS: i64 = 25 * 3_600_000;
/// Readings that are read from history at most.
const MOST_READ: usize = 100_000;
/// Points that are answered at most.
const MOST_POINTS: usize = 5000;
/// Points that are answered when the client does not say.
const USUAL_POINTS: usize = 1000;

/// Which readings.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Span {
    /// The oldest (RFC 3339); an hour before `to` when not given.
    from: Option<Timestamp>,
    /// The newest (RFC 3339); now when not given.
    to: Option<Timestamp>,
    /// Points at most, 1 to 5000 (1000 when not given); when there are more, they are thinned out evenly.
    points: Option<usize>,
}

/// Which readings, checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resolved {
    from: Timestamp,
    to: Timestamp,
    points: usize,
}

impl Span {
    /// Fills in what was not given.
    ///
    /// # Errors
    /// When it ends before it begins or is longer than a day.
    pub(crate) fn resolve(&self, now: Timestamp) -> Result<Resolved, ApiError> {
        let to = self.to.unwrap_or(now);
        let from = self.from.unwrap_or(to.plus_millis(-3_600_000));
        let length = to.millis_since(from);
        if !(0..=LONGEST_MILLIS).contains(&length) {
            return Err(ApiError::bad_request(format!(
                "from {from} to {to} is not a time of at most a day"
            )));
        }
        Ok(Resolved {
            from,
            to,
            points: self.points.unwrap_or(USUAL_POINTS).clamp(1, MOST_POINTS),
        })
    }
}

/// Readings of one sensor.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReadingsView {
    /// The sensor.
    sensor: NamedRef,
    /// What it measures.
    properties: BTreeMap<String, Property>,
    /// The readings, oldest first.
    points: Vec<Point>,
    /// Whether readings were left out to keep to the number of points.
    thinned: bool,
}

/// Returns the readings of a sensor.
///
/// # Errors
/// When MongoDB does not answer.
pub(crate) async fn readings_of(app: &App, id: SensorId, span: &Resolved) -> Result<ReadingsView, ApiError> {
    let history = app.archive.readings(id, span.from, span.to, MOST_READ).await?;
    let recent = app.live.recent(id, span.from, span.to);
    let (points, thinned) = thin(join(history, recent), span.points);
    let view = app.view.read();
    let facts = view
        .sensors
        .get(&id)
        .and_then(|sensor| view.types.get(&sensor.type_name));
    Ok(ReadingsView {
        sensor: view.sensor_ref(id),
        properties: facts.map(|facts| facts.properties.clone()).unwrap_or_default(),
        points,
        thinned,
    })
}

/// Joins two ordered lists; what is in both is there once.
fn join(history: Vec<Point>, recent: Vec<Point>) -> Vec<Point> {
    let newest = history.last().map(|point| point.time);
    let tail_start = recent.first().map(|point| point.time);
    let mut joined = history;
    for point in recent {
        let is_new = newest.is_none_or(|newest| point.time > newest)
            || !joined
                .iter()
                .rev()
                .take_while(|known| tail_start.is_some_and(|start| known.time >= start))
                .any(|known| *known == point);
        if is_new {
            joined.push(point);
        }
    }
    joined.sort_by_key(|point| point.time);
    joined
}

/// Keeps every n-th point and the last one.
fn thin(points: Vec<Point>, most: usize) -> (Vec<Point>, bool) {
    if points.len() <= most {
        return (points, false);
    }
    let step = points.len().div_ceil(most);
    let last = points.len() - 1;
    let kept = points
        .into_iter()
        .enumerate()
        .filter(|(index, _)| (last - index).is_multiple_of(step))
        .map(|(_, point)| point)
        .collect();
    (kept, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(range: std::ops::Range<i64>) -> Vec<Point> {
        range
            .map(|millis| Point {
                time: Timestamp::from_millis(millis),
                values: BTreeMap::new(),
            })
            .collect()
    }

    #[test]
    fn history_and_recent_readings_overlap() {
        assert_eq!(join(points(0..10), points(5..15)), points(0..15));
        assert_eq!(join(points(0..0), points(5..15)), points(5..15));
        assert_eq!(join(points(0..10), points(0..0)), points(0..10));
    }

    #[test]
    fn thinning_keeps_the_newest() {
        assert_eq!(thin(points(0..10), 10), (points(0..10), false));
        let (kept, thinned) = thin(points(0..1000), 300);
        assert!(thinned && kept.len() <= 300 && kept.len() > 200);
        assert_eq!(kept.last(), points(0..1000).last());
    }

    #[test]
    fn a_time_is_at_most_a_day() {
        let now = Timestamp::from_millis(1_000_000_000_000);
        assert!(Span::default().resolve(now).is_ok());
        let span = |hours: i64| Span {
            from: Some(now.plus_millis(-hours * 3_600_000)),
            ..Span::default()
        };
        assert!(span(24).resolve(now).is_ok());
        assert!(span(26).resolve(now).is_err());
        assert!(span(-1).resolve(now).is_err());
    }
}
