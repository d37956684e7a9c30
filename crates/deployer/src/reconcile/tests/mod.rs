mod ends;

use common::manifest::{Kind, ThingKind};
use common::messages::binding::Binding;
use common::messages::instance::Endpoint;

use super::observe::{PORTS_MILLIS, RETRIES, SETTLED_MILLIS};
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
                    self.service = Some(ServiceSeen {
                        id: "s1".to_owned(),
                        version: 1,
                        plan: plan.hash(),
                        replicas: Some(plan.replicas),
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
fn a_container_whose_ports_the_swarm_has_lost_begins_anew_once() {
    let mut world = World::new().running();
    world.tasks[0].ports = Vec::new();
    let late = 500 + PORTS_MILLIS;
    world.tick(late - 1);
    assert_eq!((world.state(), world.instance().restarts), ("running", 0));
    world.tick(late);
    assert_eq!((world.state(), world.instance().restarts), ("failing", 1));
    assert_eq!(world.service.as_ref().unwrap().replicas, Some(0));
    world.tick(late + 500);
    world.tasks[0] = TaskSeen {
        wanted: false,
        ..ended("t0", TaskState::Shutdown, late + 600, None)
    };
    world.tick(late + 1100);
    assert_eq!(world.service.as_ref().unwrap().replicas, Some(1));
    world.tasks.push(TaskSeen {
        since: Timestamp::from_millis(late + 1500),
        ports: vec![(8080, 32_769)],
        ..task("t1", TaskState::Running)
    });
    world.tick(late + 1600);
    world.tick(late + 1600 + 2 * PORTS_MILLIS);
    assert_eq!((world.state(), world.instance().restarts), ("running", 1));
}

#[test]
fn a_copy_that_is_reached_goes_on_beside_one_whose_ports_are_lost() {
    let mut world = World::new();
    world.instance_mut().spec.version.manifest.replicas = 2;
    world.tick(0);
    let reached = TaskSeen {
        ports: vec![(8080, 32_768)],
        ..task("t0", TaskState::Running)
    };
    world.tasks = vec![reached, task("t1", TaskState::Running)];
    world.tick(500 + 2 * PORTS_MILLIS);
    assert_eq!((world.state(), world.instance().restarts), ("running", 0));
    assert_eq!(world.service.as_ref().unwrap().replicas, Some(2));
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
fn a_change_of_the_plan_changes_the_service_once() {
    let mut world = World::new().running();
    world.settings.ports.agent_readings = 9999;
    assert!(matches!(world.tick(700).as_slice(), [Step::Update { replicas: 1, .. }]));
    assert_eq!(world.tick(800), []);
}
