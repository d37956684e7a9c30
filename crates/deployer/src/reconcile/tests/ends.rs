//! How containers end, and what follows.

use super::*;

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
    world.tasks = vec![TaskSeen {
        ports: vec![(8080, 32_768)],
        ..task("good", TaskState::Running)
    }];
    world
        .tasks
        .extend((0..5).map(|n| ended(&format!("bad{n}"), TaskState::Failed, STABLE_MILLIS + n * 1000, Some(1))));
    world.tick(STABLE_MILLIS + 6000);
    assert_eq!((world.state(), world.instance().restarts), ("running", 5));
    assert_eq!(world.service.as_ref().unwrap().replicas, Some(2));
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
