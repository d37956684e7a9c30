use common::manifest::{Kind, ThingKind};
use common::messages::binding::Binding;
use common::messages::instance::Endpoint;

use super::observe::{RETRIES, SETTLED_MILLIS};
use super::*;
use crate::backoff::STABLE_MILLIS;
use crate::docker::tests::task;
use crate::instance::tests::{bound, id, requested};
use crate::plan::tests::settings;

const IMAGE: &str = "r/iot/demo@sha256:1";

/// A world that decisions act on.
struct World {
    settings: Settings,
    record: InstanceRecord,
    image: Image,
    service: Option<ServiceSeen>,
    tasks: Vec<TaskSeen>,
    secret: bool,
    healthy: BTreeSet<(String, u16)>,
    full: Option<String>,
    refusal: Option<String>,
}

impl World {
    fn new() -> Self {
        Self {
            settings: settings(),
            record: InstanceRecord {
                binding: Some(bound(1)),
                ..requested()
            },
            image: Image::Ready(IMAGE.to_owned()),
            service: None,
            tasks: Vec::new(),
            secret: false,
            healthy: BTreeSet::new(),
            full: None,
            refusal: None,
        }
    }

    fn to_completion() -> Self {
        let mut world = Self::new();
        world.instance_mut().spec.version.manifest.kind = Kind::Task;
        world
    }

    fn instance_mut(&mut self) -> &mut Instance {
        self.record.instance.as_mut().unwrap()
    }

    fn instance(&self) -> &Instance {
        self.record.instance.as_ref().unwrap()
    }

    fn state(&self) -> &'static str {
        self.instance().state.name()
    }

    /// Decides, keeps the record, takes the steps as a perfect Engine would; twice, to see that it settles.
    fn tick(&mut self, now: i64) -> Vec<Step> {
        let decided = self.decide(now);
        self.record = decided.record;
        for step in &decided.steps {
            match step {
                Step::Launch(plan) => {
                    let replicas = (!plan.to_completion).then_some(plan.replicas);
                    self.service = Some(ServiceSeen {
                        id: "s1".to_owned(),
                        version: 1,
                        plan: plan.hash(),
                        replicas,
                    });
                    self.secret = true;
                }
                Step::Update { seen, plan, replicas } => {
                    self.service = Some(ServiceSeen {
                        plan: plan.hash(),
                        replicas: Some(*replicas),
                        ..seen.clone()
                    });
                }
                Step::RemoveService(_) => self.service = None,
                Step::RemoveSecret(_) => self.secret = false,
            }
        }
        decided.steps
    }

    fn decide(&self, now: i64) -> Decision {
        decide(
            &self.record,
            &Facts {
                settings: &self.settings,
                image: self.image.clone(),
                service: self.service.as_ref(),
                tasks: &self.tasks,
                secret: self.secret.then_some("token"),
                full: self.full.clone(),
                refusal: self.refusal.clone(),
                healthy: &self.healthy,
                now: Timestamp::from_millis(now),
            },
        )
    }

    fn running(mut self) -> Self {
        self.tick(0);
        self.tasks = vec![TaskSeen {
            since: Timestamp::from_millis(500),
            ..task("t0", TaskState::Running)
        }];
        self.tick(600);
        assert_eq!(self.state(), "running");
        self
    }
}

fn ended(id: &str, state: TaskState, at: i64, exit_code: Option<i64>) -> TaskSeen {
    let (created, since) = (Timestamp::from_millis(at - 500), Timestamp::from_millis(at));
    TaskSeen {
        created,
        since,
        exit_code,
        out_of_memory: Some(false),
        ..task(id, state)
    }
}

#[test]
fn waits_for_what_is_missing_and_says_so() {
    let missing = Missing {
        slot: "fan".to_owned(),
        kind: ThingKind::Device,
        type_name: "fan".to_owned(),
        need: 1,
        have: 0,
        place: "Lab".to_owned(),
    };
    let unsatisfied = BindingState::Unsatisfied {
        missing: vec![missing.clone()],
    };
    type Case<'a> = (&'a str, fn(&mut World), &'a str);
    let cases: [Case<'_>; 7] = [
        ("no binding yet", |world| world.record.binding = None, ""),
        (
            "building",
            |world| world.image = Image::Building,
            "the image of version 1.0.0 is being built",
        ),
        (
            "failed",
            |world| world.image = Image::Failed("pip\nx".to_owned()),
            "the image of version 1.0.0 could not be built: pip; upload a version that builds",
        ),
        (
            "unknown",
            |world| world.image = Image::Unknown,
            "version 1.0.0 is not in the catalogue (yet)",
        ),
        ("full", |world| world.full = Some("200 run".to_owned()), "200 run"),
        (
            "refused",
            |world| world.refusal = Some("network not found".to_owned()),
            "network not found",
        ),
        ("unbound", |_| {}, "`fan` needs 1 fan device, Lab has 0"),
    ];
    for (name, change, expected) in cases {
        let mut world = World::new();
        change(&mut world);
        if name == "unbound" {
            world.record.binding = Some(Binding {
                state: unsatisfied.clone(),
                ..bound(1)
            });
        }
        assert_eq!(world.tick(10_000), [], "{name}");
        match &world.instance().state {
            InstanceState::Requested => assert_eq!(expected, "", "{name}"),
            InstanceState::Waiting { why, missing: found } => {
                assert_eq!(why, expected, "{name}");
                assert_eq!(found.is_empty(), name != "unbound", "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
        let settled = world.decide(11_000);
        assert_eq!(settled.record, world.record, "{name} does not change again");
    }
}

#[test]
fn starts_once_and_runs() {
    let mut world = World::new();
    let steps = world.tick(0);
    assert!(matches!(steps.as_slice(), [Step::Launch(plan)] if plan.image == IMAGE && plan.instance == id()));
    assert_eq!(world.record.image.as_deref(), Some(IMAGE));
    assert_eq!(world.state(), "starting");
    assert_eq!(world.tick(100), []);
    world.tasks = vec![task("t0", TaskState::Starting)];
    assert_eq!((world.tick(200), world.state()), (vec![], "starting"));
    world.tasks = vec![task("t0", TaskState::Running)];
    assert_eq!((world.tick(300), world.state()), (vec![], "running"));
    assert_eq!(world.decide(400).record, world.record);
}

#[test]
fn a_launch_that_was_lost_is_done_again() {
    let mut world = World::new();
    world.tick(0);
    world.service = None;
    assert!(matches!(world.tick(100).as_slice(), [Step::Launch(_)]));
    assert_eq!(world.state(), "starting");
}

#[test]
fn a_service_that_someone_removed_comes_back() {
    let mut world = World::new().running();
    world.service = None;
    world.tasks.clear();
    assert!(matches!(world.tick(2000).as_slice(), [Step::Launch(_)]));
    assert_eq!(world.state(), "failing");
    world.tasks = vec![task("t1", TaskState::Running)];
    world.tick(2500);
    assert_eq!(world.state(), "running");
}

#[test]
fn no_host_with_room_is_said_as_such() {
    let mut world = World::new();
    world.tick(0);
    let error = Some("no suitable node (insufficient resources on 1 node)".to_owned());
    world.tasks = vec![TaskSeen {
        error,
        ..task("t0", TaskState::Pending)
    }];
    world.tick(100);
    let InstanceState::Waiting { why, .. } = &world.instance().state else {
        panic!()
    };
    assert!(why.starts_with("no host has the memory and CPU"), "{why}");
    world.tasks = vec![task("t0", TaskState::Running)];
    world.tick(200);
    assert_eq!(world.state(), "running");
}

#[test]
fn a_killed_container_is_failing_and_then_running_with_one_restart() {
    let mut world = World::new().running();
    world.tasks = vec![
        ended("t0", TaskState::Failed, 90_000, Some(137)),
        task("t1", TaskState::Starting),
    ];
    assert_eq!(world.tick(90_100), []);
    let InstanceState::Failing { why, next_try } = &world.instance().state else {
        panic!()
    };
    assert_eq!(why, "it was killed from outside (exit code 137)");
    assert_eq!(next_try.unwrap().millis(), 91_000);
    world.tasks[1] = TaskSeen {
        since: Timestamp::from_millis(91_200),
        ..task("t1", TaskState::Running)
    };
    assert_eq!(world.tick(91_300), []);
    assert_eq!((world.state(), world.instance().restarts), ("running", 1));
    world.tick(92_000);
    assert_eq!(world.instance().restarts, 1, "an end counts once");
    world.tick(91_200 + STABLE_MILLIS);
    assert_eq!(world.record.ends.streak, 0);
}

#[test]
fn a_crash_loop_is_held_back_longer_each_time() {
    let mut world = World::new();
    world.tick(0);
    let mut now = 1000;
    let mut waits = Vec::new();
    for round in 0..8 {
        world
            .tasks
            .push(ended(&format!("t{round}"), TaskState::Failed, now, Some(1)));
        world.tick(now + 50);
        let InstanceState::Failing { why, next_try } = world.instance().state.clone() else {
            panic!()
        };
        assert_eq!(why, "it ended with exit code 1");
        let next = next_try.unwrap().millis();
        waits.push(next - now);
        let held = world.service.as_ref().unwrap().replicas == Some(0);
        assert_eq!(held, round >= 2, "round {round}");
        assert_eq!(world.tick(next - 1), [], "nothing changes while it is held");
        world.tick(next);
        assert_eq!(world.service.as_ref().unwrap().replicas, Some(1));
        now = next + 800;
    }
    assert_eq!(waits.first(), Some(&1000));
    assert!(
        waits
            .windows(2)
            .skip(2)
            .all(|pair| pair[0] < pair[1] || pair[1] >= 45_000),
        "{waits:?}"
    );
    assert_eq!(world.instance().restarts, 8);
    // It runs, but is believed only after a while.
    world.tasks.push(TaskSeen {
        since: Timestamp::from_millis(now),
        ..task("ok", TaskState::Running)
    });
    world.tick(now + 100);
    assert_eq!(world.state(), "failing");
    world.tick(now + SETTLED_MILLIS);
    assert_eq!(world.state(), "running");
}

#[test]
fn one_bad_copy_does_not_stop_a_good_one() {
    let mut world = World::new();
    world.instance_mut().spec.version.manifest.replicas = 2;
    world.tick(0);
    world.tasks = vec![task("good", TaskState::Running)];
    world
        .tasks
        .extend((0..5).map(|n| ended(&format!("bad{n}"), TaskState::Failed, STABLE_MILLIS + n * 1000, Some(1))));
    world.tick(STABLE_MILLIS + 6000);
    assert_eq!((world.state(), world.instance().restarts), ("running", 5));
    assert_eq!(world.service.as_ref().unwrap().replicas, Some(2));
}

#[test]
fn pages_count_only_when_they_answer() {
    let mut world = World::new().running();
    world.tasks[0].ports = vec![(9, 1), (8080, 32_768)];
    world.tick(700);
    assert_eq!(world.instance().endpoints, []);
    world.healthy.insert(("127.0.0.1".to_owned(), 32_768));
    world.tick(800);
    let endpoint = Endpoint {
        host: "127.0.0.1".to_owned(),
        port: 32_768,
        node: "one".to_owned(),
    };
    assert_eq!(world.instance().endpoints, [endpoint]);
    world.tasks[0] = ended("t0", TaskState::Failed, 900, Some(1));
    world.tick(950);
    assert_eq!(world.instance().endpoints, []);
}

#[test]
fn stopping_waits_for_containers_and_then_cleans_up() {
    let mut world = World::new().running();
    world.record.stop = Some(Stop {
        why: "enough".to_owned(),
        at: Timestamp::from_millis(1000),
    });
    assert_eq!(world.tick(1000), [Step::RemoveService("s1".to_owned())]);
    assert_eq!(world.state(), "stopping");
    assert_eq!((world.tick(1100), world.state()), (vec![], "stopping"));
    world.tasks.clear();
    assert_eq!((world.tick(1200), world.state()), (vec![], "stopped"));
    assert_eq!(world.tick(1300), [Step::RemoveSecret("token".to_owned())]);
    assert_eq!(world.tick(1400), []);
    assert!(world.record.cleaned);
    assert!(!world.record.is_live());
}

#[test]
fn a_stop_on_a_lost_host_ends_after_a_while() {
    let mut world = World::new().running();
    world.record.stop = Some(Stop {
        why: "enough".to_owned(),
        at: Timestamp::from_millis(0),
    });
    world.tick(1000);
    world.tick(10_000 + STOP_MARGIN_MILLIS);
    assert_eq!(world.state(), "stopping");
    world.tick(10_001 + STOP_MARGIN_MILLIS);
    assert_eq!(world.state(), "stopped");
}

#[test]
fn its_time_is_over() {
    let mut world = World::new().running();
    world.instance_mut().spec.stop_at = Some(Timestamp::from_millis(5000));
    assert_eq!(world.tick(4999), []);
    assert_eq!(world.tick(5000), [Step::RemoveService("s1".to_owned())]);
    world.tasks.clear();
    world.tick(5100);
    assert_eq!(
        world.instance().state,
        InstanceState::Stopped {
            why: "its time is over".to_owned()
        }
    );
    let mut waiting = World::new();
    waiting.record.binding = None;
    waiting.instance_mut().spec.stop_at = Some(Timestamp::from_millis(5000));
    waiting.tick(5000);
    assert_eq!(waiting.state(), "stopped");
}

#[test]
fn a_run_to_completion_ends_as_its_program_does() {
    let oom = TaskSeen {
        out_of_memory: Some(true),
        ..ended("t0", TaskState::Failed, 900, Some(137))
    };
    let cases = [
        (ended("t0", TaskState::Complete, 900, Some(0)), InstanceState::Succeeded),
        (
            ended("t0", TaskState::Failed, 900, Some(3)),
            InstanceState::Failed {
                exit_code: Some(3),
                why: "it ended with exit code 3".to_owned(),
            },
        ),
        (
            oom,
            InstanceState::Failed {
                exit_code: Some(137),
                why: "it needed more than its 128 MiB of memory".to_owned(),
            },
        ),
    ];
    for (end, expected) in cases {
        let mut world = World::to_completion().running();
        world.tasks = vec![end];
        assert_eq!(world.tick(1000), []);
        assert_eq!(world.instance().state, expected);
        assert_eq!(world.tick(2000), [], "its last lines are read first");
        assert_eq!(world.tick(1000 + DRAIN_MILLIS), [Step::RemoveService("s1".to_owned())]);
        assert_eq!(
            world.tick(1100 + DRAIN_MILLIS),
            [Step::RemoveSecret("token".to_owned())]
        );
        world.tick(1200 + DRAIN_MILLIS);
        assert!(world.record.cleaned);
        assert_eq!(world.instance().state, expected, "a final state is never left");
    }
}

#[test]
fn a_run_to_completion_that_was_killed_from_outside_runs_again() {
    let mut world = World::to_completion().running();
    for round in 0..i64::from(RETRIES) {
        let now = 1000 + round * 100_000;
        world.tasks = vec![ended(&format!("t{round}"), TaskState::Failed, now, Some(137))];
        assert_eq!(world.tick(now), [Step::RemoveService("s1".to_owned())]);
        let InstanceState::Failing {
            next_try: Some(next), ..
        } = world.instance().state
        else {
            panic!()
        };
        assert_eq!(world.tick(next.millis() - 1), []);
        assert!(matches!(world.tick(next.millis()).as_slice(), [Step::Launch(_)]));
    }
    assert_eq!(world.instance().restarts, RETRIES);
    world.tasks = vec![ended("last", TaskState::Failed, 1_000_000, Some(137))];
    world.tick(1_000_000);
    assert_eq!(world.state(), "failed");
}

#[test]
fn a_change_of_the_plan_changes_the_service_once() {
    let mut world = World::new().running();
    world.settings.ports.agent_readings = 9999;
    assert!(matches!(world.tick(700).as_slice(), [Step::Update { replicas: 1, .. }]));
    assert_eq!(world.tick(800), []);
}
