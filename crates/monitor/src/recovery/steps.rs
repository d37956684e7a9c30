//! What is to be started where, and ended. Pure.

use std::collections::{BTreeMap, BTreeSet};

use common::names::ServiceName;

/// Services that may run on any host. The deployer needs the swarm's manager, the agent every host has.
const MOVABLE: [ServiceName; 5] = [
    ServiceName::ApplicationManager,
    ServiceName::Scheduler,
    ServiceName::SensorManager,
    ServiceName::ActionManager,
    ServiceName::Monitor,
];

/// How sure it is that a host is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It has been for a while.
    Well,
    /// Nobody knows, or not long enough: nothing is started there, nothing is ended because of it.
    Doubtful,
    /// It has been gone for a while.
    Lost,
}

/// A service on a host in the place of one on another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StandIn {
    /// The service.
    pub service: ServiceName,
    /// Where it runs.
    pub host: String,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Start it.
    Start {
        /// What, where.
        stand_in: StandIn,
        /// The host that is lost.
        instead_of: String,
    },
    /// End it: what it stands in for is there.
    End(StandIn),
}

/// Decides. `places` says which services each host has by itself, `works` whether one of these does its work, `known` which stand-ins may run, and
/// whether each can be counted on.
#[must_use]
pub fn steps(
    places: &BTreeMap<String, BTreeSet<ServiceName>>,
    condition: impl Fn(&str) -> Condition,
    works: impl Fn(ServiceName, &str) -> bool,
    known: &BTreeMap<StandIn, bool>,
) -> Vec<Step> {
    let mut steps = Vec::new();
    // Of a host that has left, or has the service by itself now, a stand-in is a memory only.
    let serves = |one: &StandIn| known.get(one).copied().unwrap_or_default();
    let stands = |one: &&StandIn| places.get(&one.host).is_some_and(|own| !own.contains(&one.service));
    let stand_ins: BTreeSet<StandIn> = known.keys().filter(stands).cloned().collect();
    let mut planned: BTreeSet<StandIn> = stand_ins.iter().filter(|one| serves(one)).cloned().collect();
    for service in MOVABLE {
        let own: Vec<&String> = places
            .iter()
            .filter(|(_, services)| services.contains(&service))
            .map(|(host, _)| host)
            .collect();
        let lost: Vec<&String> = own
            .iter()
            .copied()
            .filter(|host| condition(host) == Condition::Lost)
            .collect();
        let standing: Vec<StandIn> = stand_ins.iter().filter(|one| one.service == service).cloned().collect();
        let back = |host: &&String| condition(host) == Condition::Well && works(service, host);
        if !standing.is_empty() && own.iter().all(back) {
            let reachable = standing
                .into_iter()
                .filter(|one| condition(&one.host) == Condition::Well);
            steps.extend(reachable.map(Step::End));
            continue;
        }
        let useful = standing
            .iter()
            .filter(|one| serves(one) && condition(&one.host) != Condition::Lost)
            .count();
        for instead_of in lost.into_iter().skip(useful) {
            let load = |host: &String| {
                let others = planned.iter().filter(|one| one.host == *host).count();
                places.get(host).map_or(0, BTreeSet::len) + others
            };
            let free = places.iter().filter(|(host, services)| {
                let stands = planned.iter().any(|one| one.service == service && one.host == **host);
                condition(host) == Condition::Well && !services.contains(&service) && !stands
            });
            let Some(host) = free
                .map(|(host, _)| host)
                .min_by_key(|host| (load(host), (*host).clone()))
            else {
                break;
            };
            let stand_in = StandIn {
                service,
                host: host.clone(),
            };
            planned.insert(stand_in.clone());
            steps.push(Step::Start {
                stand_in,
                instead_of: instead_of.clone(),
            });
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use Condition::{Doubtful, Lost, Well};
    use ServiceName::{ActionManager, Deployer, Monitor, Scheduler, SensorManager};

    fn places() -> BTreeMap<String, BTreeSet<ServiceName>> {
        BTreeMap::from([
            ("a".to_owned(), BTreeSet::from([SensorManager, Deployer, Monitor])),
            (
                "b".to_owned(),
                BTreeSet::from([SensorManager, Scheduler, ActionManager]),
            ),
            (
                "c".to_owned(),
                BTreeSet::from([Scheduler, Deployer, ActionManager, Monitor]),
            ),
        ])
    }

    fn decide(conditions: [Condition; 3], running: &[(ServiceName, &str)]) -> Vec<(bool, ServiceName, String)> {
        let condition = |host: &str| {
            conditions
                .get(usize::from(host.as_bytes()[0] - b'a'))
                .copied()
                .unwrap_or(Doubtful)
        };
        let running = running.iter().map(|(service, host)| {
            let host = (*host).to_owned();
            // One that is called `-` before its host runs, perhaps, and nobody counts on it.
            let serves = !host.starts_with('-');
            let host = host.trim_start_matches('-').to_owned();
            (
                StandIn {
                    service: *service,
                    host,
                },
                serves,
            )
        });
        // One that is called `!` is its host's own, and does not work.
        let (idle, running): (Vec<_>, Vec<_>) = running.partition(|(one, _)| one.host.starts_with('!'));
        let works = |service, host: &str| {
            !idle
                .iter()
                .any(|(one, _)| one.service == service && one.host.ends_with(host))
        };
        let steps = steps(&places(), condition, works, &running.into_iter().collect());
        let flat = |step| match step {
            Step::Start { stand_in, .. } => (true, stand_in.service, stand_in.host),
            Step::End(stand_in) => (false, stand_in.service, stand_in.host),
        };
        steps.into_iter().map(flat).collect()
    }

    #[test]
    fn what_a_lost_host_had_is_started_on_hosts_that_do_not_have_it() {
        let started = |service, host: &str| (true, service, host.to_owned());
        assert_eq!(
            decide([Well, Lost, Well], &[]),
            [
                started(Scheduler, "a"),
                started(SensorManager, "c"),
                started(ActionManager, "a")
            ]
        );
        assert_eq!(
            decide(
                [Well, Lost, Well],
                &[(Scheduler, "a"), (SensorManager, "c"), (ActionManager, "a")]
            ),
            []
        );
        assert_eq!(decide([Well, Well, Well], &[]), []);
        assert_eq!(decide([Well, Doubtful, Well], &[]), [], "nobody knows");
        assert_eq!(decide([Doubtful, Lost, Doubtful], &[]), [], "nowhere to start it");
    }

    #[test]
    fn they_end_when_what_they_stand_in_for_is_back_for_sure() {
        let running = [(Scheduler, "a"), (SensorManager, "c")];
        let ended = |service, host: &str| (false, service, host.to_owned());
        assert_eq!(decide([Well, Doubtful, Well], &running), []);
        assert_eq!(
            decide([Well, Well, Well], &running),
            [ended(Scheduler, "a"), ended(SensorManager, "c")]
        );
        assert_eq!(
            decide(
                [Well, Well, Well],
                &[(Scheduler, "a"), (SensorManager, "c"), (Scheduler, "!b")]
            ),
            [ended(SensorManager, "c")],
            "the host is back, its scheduler is not"
        );
    }

    #[test]
    fn one_on_a_host_that_has_left_or_has_it_by_itself_now_is_a_memory() {
        let lost = [Well, Lost, Well];
        let wanted = decide(lost, &[]);
        assert_eq!(decide(lost, &[(Scheduler, "d"), (SensorManager, "a")]), wanted);
        assert_eq!(decide([Well, Well, Well], &[(Scheduler, "c")]), []);
    }

    #[test]
    fn one_that_does_not_work_is_started_again_and_ended_like_any_other() {
        let lost = [Well, Lost, Well];
        assert_eq!(
            decide(lost, &[(Scheduler, "-a"), (SensorManager, "c"), (ActionManager, "a")]),
            [(true, Scheduler, "a".to_owned())]
        );
        assert_eq!(
            decide([Well, Well, Well], &[(Scheduler, "-a")]),
            [(false, Scheduler, "a".to_owned())]
        );
    }

    #[test]
    fn a_stand_in_on_a_host_that_is_lost_as_well_does_not_count() {
        assert_eq!(
            decide([Well, Lost, Lost], &[(SensorManager, "c")]),
            [(true, Scheduler, "a".to_owned()), (true, ActionManager, "a".to_owned()),]
        );
    }
}
