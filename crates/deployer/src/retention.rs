//! What is forgotten: instances that ended long ago, images of applications that are deleted. Pure.

use std::collections::{BTreeMap, BTreeSet};

use common::messages::instance::Instance;
use common::{ApplicationId, InstanceId, ScheduleId, Timestamp, VersionId};

use crate::image;
use crate::records::{Build, InstanceRecord, VersionRecord};

const DAY_MILLIS: i64 = 24 * 3_600_000;
/// Times longer that the instance is kept from whose checkpoint the next one of its schedule begins.
const CARRIED_TIMES: u64 = 12;

/// Whether an instance ended so long ago, and left nothing, that it may be forgotten.
pub(crate) fn is_old(record: &InstanceRecord, days: u64, now: Timestamp) -> bool {
    let kept = i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(DAY_MILLIS);
    record.cleaned
        && record.instance.as_ref().is_some_and(|instance| {
            instance.state.is_final() && now.millis_since(instance.ended.unwrap_or(instance.since)) >= kept
        })
}

/// Returns the instances that are to be forgotten. The newest of a schedule that ran stays longer where the next one begins with
/// its checkpoint: forgotten, it would take that along.
pub(crate) fn forgettable(records: &[InstanceRecord], days: u64, now: Timestamp) -> Vec<InstanceId> {
    let mut newest: BTreeMap<ScheduleId, &Instance> = BTreeMap::new();
    let instances = records.iter().filter_map(|record| record.instance.as_ref());
    for instance in instances.filter(|instance| instance.spec.version.manifest.carry && instance.started.is_some()) {
        let known = newest.entry(instance.spec.schedule).or_insert(instance);
        if known.spec.due < instance.spec.due {
            *known = instance;
        }
    }
    let carried: BTreeSet<InstanceId> = newest.values().map(|instance| instance.id).collect();
    let longer = days.saturating_mul(CARRIED_TIMES);
    records
        .iter()
        .filter_map(|record| Some((record, record.instance.as_ref()?.id)))
        .filter(|(record, id)| is_old(record, if carried.contains(id) { longer } else { days }, now))
        .map(|(_, id)| id)
        .collect()
}

/// An image that is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Removal {
    /// The version it was built for.
    pub(crate) version: VersionId,
    /// `registry/installation/application:tag`, unless another version has that name.
    pub(crate) name: Option<String>,
    /// `registry/installation/application@sha256:…`, unless another version is the same image.
    pub(crate) image: Option<String>,
}

/// Returns the images that nobody needs: those of discarded versions of which nothing runs any more.
pub(crate) fn removals(
    registry: &str,
    installation: &str,
    versions: &[VersionRecord],
    live: &[InstanceRecord],
) -> Vec<Removal> {
    let name = |record: &VersionRecord| {
        let repository = image::repository(registry, installation, record.manifest.name.as_str());
        format!("{repository}:{}", image::tag(&record.number))
    };
    let running: BTreeSet<&str> = live.iter().filter_map(|record| record.image.as_deref()).collect();
    // What is being built may turn out to be the same image.
    let building: BTreeSet<ApplicationId> = versions
        .iter()
        .filter(|record| matches!(record.build, Build::Wanted { .. }))
        .map(|record| record.application)
        .collect();
    let kept = versions.iter().filter(|record| !is_discarded(record));
    let (mut names, mut images) = (BTreeSet::new(), BTreeSet::new());
    for record in kept {
        names.insert(name(record));
        if let Build::Ready { image } = &record.build {
            images.insert(image.as_str());
        }
    }
    versions
        .iter()
        .filter_map(|record| {
            let Build::Discarded { image } = &record.build else {
                return None;
            };
            if image.as_deref().is_some_and(|image| running.contains(image)) || building.contains(&record.application) {
                return None;
            }
            Some(Removal {
                version: record.id,
                name: Some(name(record)).filter(|name| !names.contains(name)),
                image: image.clone().filter(|image| !images.contains(image.as_str())),
            })
        })
        .collect()
}

fn is_discarded(record: &VersionRecord) -> bool {
    matches!(record.build, Build::Discarded { .. })
}

#[cfg(test)]
mod tests {
    use common::messages::application::VersionState;
    use common::messages::instance::InstanceState;
    use proptest::prelude::*;

    use super::*;
    use crate::instance::{enter, tests::requested};
    use crate::versions::tests::{application, record};

    fn now() -> Timestamp {
        Timestamp::from_millis(1_000 * DAY_MILLIS)
    }

    /// An instance that ended so many days ago; of a schedule, due in the order of the numbers.
    fn ended(number: i64, days_ago: i64, carry: bool) -> InstanceRecord {
        let mut record = requested();
        let instance = record.instance.as_mut().unwrap();
        instance.id = InstanceId::derive(&[&number.to_string()]);
        instance.spec.due = Timestamp::from_millis(number);
        instance.spec.version.manifest.carry = carry;
        let at = now().plus_millis(-days_ago * DAY_MILLIS);
        enter(instance, InstanceState::Running, at);
        enter(instance, InstanceState::Succeeded, at);
        record.cleaned = true;
        record
    }

    fn ids(records: &[InstanceRecord]) -> Vec<InstanceId> {
        records
            .iter()
            .map(|record| record.instance.as_ref().unwrap().id)
            .collect()
    }

    #[test]
    fn only_what_ended_long_ago_and_left_nothing_is_forgotten() {
        let old = ended(1, 30, false);
        let running = {
            let mut record = ended(2, 100, false);
            let instance = record.instance.as_mut().unwrap();
            instance.ended = None;
            enter(instance, InstanceState::Running, now());
            record
        };
        let not_cleaned = InstanceRecord {
            cleaned: false,
            ..ended(3, 100, false)
        };
        let unknown = InstanceRecord {
            instance: None,
            ..ended(4, 100, false)
        };
        for (record, expected) in [
            (&old, true),
            (&ended(5, 29, false), false),
            (&running, false),
            (&not_cleaned, false),
            (&unknown, false),
        ] {
            assert_eq!(is_old(record, 30, now()), expected, "{record:?}");
        }
        assert_eq!(
            forgettable(&[old.clone(), running, not_cleaned, unknown], 30, now()),
            ids(&[old])
        );
    }

    #[test]
    fn the_instance_that_the_next_one_begins_with_stays_longer() {
        let all = [ended(1, 60, true), ended(2, 40, true)];
        assert_eq!(forgettable(&all, 30, now()), ids(&all[..1]));
        let mut never_ran = ended(3, 35, true);
        never_ran.instance.as_mut().unwrap().started = None;
        let all = [all[0].clone(), all[1].clone(), never_ran.clone()];
        assert_eq!(forgettable(&all, 30, now()), ids(&[all[0].clone(), never_ran]));
        assert_eq!(forgettable(&[ended(1, 360, true)], 30, now()).len(), 1);
        assert_eq!(forgettable(&[ended(1, 359, true)], 30, now()).len(), 0);
    }

    proptest! {
        #[test]
        fn forgetting_more_than_once_changes_nothing_and_the_young_stay(ages in proptest::collection::vec((0_i64..90, any::<bool>()), 0..20)) {
            let records: Vec<_> = ages.iter().zip(0..).map(|((age, carry), number)| ended(number, *age, *carry)).collect();
            let gone: BTreeSet<_> = forgettable(&records, 30, now()).into_iter().collect();
            for record in &records {
                let instance = record.instance.as_ref().unwrap();
                let age = now().millis_since(instance.ended.unwrap()) / DAY_MILLIS;
                prop_assert!(!gone.contains(&instance.id) || age >= 30);
                prop_assert!(gone.contains(&instance.id) || age < 30 || instance.spec.version.manifest.carry);
            }
            let left: Vec<_> = records.into_iter().filter(|record| !gone.contains(&record.instance.as_ref().unwrap().id)).collect();
            prop_assert_eq!(forgettable(&left, 30, now()), Vec::<InstanceId>::new());
        }
    }

    fn version(name: &str, number: &str, build: Build) -> VersionRecord {
        let application = application(VersionState::Building);
        let mut record = record(&application, &application.versions[0]);
        record.id = VersionId::derive(&[name, number]);
        record.manifest.name = name.parse().unwrap();
        record.number = number.to_owned();
        record.build = build;
        record
    }

    fn image(digest: &str) -> String {
        format!("r:5000/iot/demo@sha256:{digest}")
    }

    fn discarded(number: &str, digest: &str) -> VersionRecord {
        let image = Some(image(digest));
        version("demo", number, Build::Discarded { image })
    }

    #[test]
    fn images_of_discarded_versions_go_when_nothing_needs_them() {
        let running = |digest: &str| InstanceRecord {
            image: Some(image(digest)),
            ..requested()
        };
        let removal = |name: Option<&str>, digest: Option<&str>| Removal {
            version: VersionId::derive(&["demo", "1.0.0"]),
            name: name.map(|tag| format!("r:5000/iot/demo:{tag}")),
            image: digest.map(image),
        };
        let ready = |number: &str, digest: &str| version("demo", number, Build::Ready { image: image(digest) });
        let gone = || discarded("1.0.0", "a");
        for (what, versions, live, expected) in [
            ("alone", vec![gone()], vec![], vec![removal(Some("1.0.0"), Some("a"))]),
            ("still running", vec![gone()], vec![running("a")], vec![]),
            (
                "another runs",
                vec![gone()],
                vec![running("b")],
                vec![removal(Some("1.0.0"), Some("a"))],
            ),
            (
                "same image",
                vec![gone(), ready("2.0.0", "a")],
                vec![],
                vec![removal(Some("1.0.0"), None)],
            ),
            (
                "same name",
                vec![gone(), ready("1.0.0", "b")],
                vec![],
                vec![removal(None, Some("a"))],
            ),
            ("wanted", vec![ready("1.0.0", "a")], vec![], vec![]),
            (
                "never built",
                vec![version("demo", "1.0.0", Build::Discarded { image: None })],
                vec![],
                vec![removal(Some("1.0.0"), None)],
            ),
        ] {
            assert_eq!(removals("r:5000", "iot", &versions, &live), expected, "{what}");
        }
    }
}
