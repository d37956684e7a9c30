//! What messages make of an instance. Pure.

use common::messages::binding::{Binding, BindingState};
use common::messages::instance::{Instance, InstanceSpec, InstanceState};
use common::{InstanceId, Timestamp};

use crate::records::{InstanceRecord, Stop};

/// Puts an instance into a state; a state that is not new keeps its moment.
pub(crate) fn enter(instance: &mut Instance, state: InstanceState, now: Timestamp) {
    if instance.state.name() != state.name() {
        instance.since = now;
    }
    if matches!(state, InstanceState::Running) && instance.started.is_none() {
        instance.started = Some(now);
    }
    if state.is_final() && instance.ended.is_none() {
        instance.ended = Some(now);
    }
    if !matches!(state, InstanceState::Running) {
        instance.endpoints.clear();
    }
    instance.state = state;
}

/// A start; none when the instance is known.
pub(crate) fn start(
    current: Option<&InstanceRecord>,
    id: InstanceId,
    spec: &InstanceSpec,
    now: Timestamp,
) -> Option<InstanceRecord> {
    let mut record = current.cloned().unwrap_or_default();
    if record.instance.is_some() {
        return None;
    }
    record.instance = Some(Instance {
        id,
        spec: spec.clone(),
        state: InstanceState::Requested,
        since: now,
        started: None,
        ended: None,
        restarts: 0,
        endpoints: Vec::new(),
        version: 0,
    });
    Some(record)
}

/// What a stop finds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stopping {
    /// There is no such instance.
    Unknown,
    /// It is over or was asked to stop already.
    Already,
    /// It changes.
    Change(Box<InstanceRecord>),
}

/// A stop: at once when nothing was launched.
pub(crate) fn stop(current: Option<&InstanceRecord>, why: &str, now: Timestamp) -> Stopping {
    let Some((record, instance)) = current.and_then(|record| Some((record, record.instance.as_ref()?))) else {
        return Stopping::Unknown;
    };
    if instance.state.is_final() || record.stop.is_some() {
        return Stopping::Already;
    }
    let mut record = record.clone();
    let state = if record.image.is_some() {
        InstanceState::Stopping { why: why.to_owned() }
    } else {
        InstanceState::Stopped { why: why.to_owned() }
    };
    record.stop = Some(Stop {
        why: why.to_owned(),
        at: now,
    });
    if let Some(instance) = &mut record.instance {
        enter(instance, state, now);
    }
    Stopping::Change(Box::new(record))
}

/// A binding; none when it says nothing new.
pub(crate) fn bind(current: Option<&InstanceRecord>, binding: &Binding) -> Option<InstanceRecord> {
    let known = current
        .and_then(|record| record.binding.as_ref())
        .map(|binding| binding.version);
    if known.is_some_and(|known| binding.version <= known) {
        return None;
    }
    // The end of something that was never started here, or was forgotten.
    if current.is_none() && binding.state == BindingState::Released {
        return None;
    }
    let mut record = current.cloned().unwrap_or_default();
    record.binding = Some(binding.clone());
    Some(record)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use common::messages::schedule::VersionRef;
    use common::{LocationId, ScheduleId, UserId};

    use super::*;
    use crate::versions::tests::application;

    pub(crate) fn spec() -> InstanceSpec {
        let application = application(common::messages::application::VersionState::Building);
        let version = &application.versions[0];
        InstanceSpec {
            schedule: ScheduleId::derive(&["s"]),
            schedule_name: "Every day".to_owned(),
            due: Timestamp::from_millis(0),
            version: VersionRef {
                application: application.id,
                version: version.id,
                number: version.number.clone(),
                developer: application.owner,
                manifest: version.manifest.clone(),
            },
            location: LocationId::derive(&["l"]),
            location_path: "Building A / Lab".to_owned(),
            parameters: BTreeMap::new(),
            owner: UserId::derive(&["u"]),
            stop_at: None,
        }
    }

    pub(crate) fn id() -> InstanceId {
        InstanceId::derive(&["one"])
    }

    pub(crate) fn bound(version: u64) -> Binding {
        Binding {
            instance: id(),
            state: BindingState::Bound { slots: BTreeMap::new() },
            version,
        }
    }

    pub(crate) fn requested() -> InstanceRecord {
        start(None, id(), &spec(), Timestamp::from_millis(0)).unwrap()
    }

    #[test]
    fn start_and_binding_meet_in_either_order() {
        let now = Timestamp::from_millis(0);
        let one = bind(Some(&requested()), &bound(1)).unwrap();
        let other = start(Some(&bind(None, &bound(1)).unwrap()), id(), &spec(), now).unwrap();
        assert_eq!(one, other);
        assert_eq!(start(Some(&one), id(), &spec(), now), None);
    }

    #[test]
    fn an_older_binding_or_the_end_of_nothing_is_ignored() {
        let record = bind(None, &bound(2)).unwrap();
        assert_eq!(bind(Some(&record), &bound(2)), None);
        assert_eq!(bind(Some(&record), &bound(1)), None);
        assert_eq!(
            bind(
                None,
                &Binding {
                    state: BindingState::Released,
                    ..bound(1)
                }
            ),
            None
        );
    }

    #[test]
    fn what_never_ran_stops_at_once() {
        let now = Timestamp::from_millis(5);
        let Stopping::Change(record) = stop(Some(&requested()), "enough", now) else {
            panic!()
        };
        let instance = record.instance.clone().unwrap();
        assert_eq!(
            instance.state,
            InstanceState::Stopped {
                why: "enough".to_owned()
            }
        );
        assert_eq!(instance.ended, Some(now));
        assert_eq!(stop(Some(&record), "again", now), Stopping::Already);
    }

    #[test]
    fn what_was_launched_is_stopped_by_the_executor() {
        let now = Timestamp::from_millis(5);
        let launched = InstanceRecord {
            image: Some("r/i@sha256:1".to_owned()),
            ..requested()
        };
        let Stopping::Change(record) = stop(Some(&launched), "enough", now) else {
            panic!()
        };
        assert_eq!(
            record.instance.clone().unwrap().state,
            InstanceState::Stopping {
                why: "enough".to_owned()
            }
        );
        assert_eq!(stop(Some(&record), "again", now), Stopping::Already);
        assert_eq!(stop(None, "x", now), Stopping::Unknown);
        assert_eq!(stop(Some(&bind(None, &bound(1)).unwrap()), "x", now), Stopping::Unknown);
    }

    #[test]
    fn a_state_keeps_its_moment_and_pages_end_with_running() {
        let mut instance = requested().instance.unwrap();
        enter(&mut instance, InstanceState::Running, Timestamp::from_millis(1));
        enter(&mut instance, InstanceState::Running, Timestamp::from_millis(2));
        assert_eq!((instance.since.millis(), instance.started.unwrap().millis()), (1, 1));
        let failing = |why: &str| InstanceState::Failing {
            why: why.to_owned(),
            next_try: None,
        };
        enter(&mut instance, failing("a"), Timestamp::from_millis(3));
        enter(&mut instance, failing("b"), Timestamp::from_millis(4));
        assert_eq!(instance.since.millis(), 3);
    }
}
