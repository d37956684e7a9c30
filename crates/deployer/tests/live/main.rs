//! Deployer and node agent against a real Engine, Kafka and MongoDB protocol.
//!
//! Run with the settings of an installation that has its infrastructure up:
//! `PLATFORM_SETTINGS=<data_dir>/etc/settings.json cargo test -p deployer --test live`. The test works under a name of its
//! own and removes everything it created.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test: it fails by panicking, and says how long things took"
)]

mod stage;
mod store;

use common::manifest::Kind;
use common::messages::application::VersionState;
use common::messages::instance::{InstanceCommand, InstanceState};
use stage::{Stage, StageApp};

const HOSTILE: &str = include_str!("hostile.py");

#[tokio::test(flavor = "multi_thread")]
async fn from_bundle_to_running_instance_and_back() {
    let mut stage = Stage::open().await;
    let outcome = tokio::spawn(async move {
        scenario(&mut stage).await;
        stage
    })
    .await;
    match outcome {
        Ok(stage) => stage.close().await,
        Err(error) => {
            stage::remove_leftovers().await;
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

async fn scenario(stage: &mut Stage) {
    let app = a_version_is_built(stage).await;
    a_version_that_can_not_be_built_says_why(stage).await;
    waits_until_it_is_bound(stage, &app).await;
    a_service_runs_without_rights_and_survives(stage, &app).await;
    tasks_end_as_their_programs_do(stage, &app).await;
    a_crash_loop_is_held_back(stage, &app).await;
    stage.nothing_is_left().await;
}

async fn a_version_is_built(stage: &mut Stage) -> StageApp {
    let app = stage.upload("hostile", &[("main.py", HOSTILE)]).await;
    let VersionState::Ready { image } = stage.built(&app).await else {
        panic!("{:?}", stage.build_log(&app))
    };
    assert!(image.contains("/hostile@sha256:"), "{image}");
    let log = stage.build_log(&app);
    assert!(log.iter().any(|line| line.contains("FROM")), "{log:?}");
    assert!(log.last().is_some_and(|line| line.starts_with("ready: ")), "{log:?}");
    app
}

async fn a_version_that_can_not_be_built_says_why(stage: &mut Stage) {
    let broken = [
        ("main.py", ""),
        ("requirements.txt", "no-such-package-of-the-platform==9.9.9\n"),
    ];
    let app = stage.upload("broken", &broken).await;
    let VersionState::Failed { reason } = stage.built(&app).await else {
        panic!("it was built")
    };
    println!("{reason}");
    assert!(reason.contains("no-such-package-of-the-platform"), "{reason}");
}

async fn waits_until_it_is_bound(stage: &mut Stage, app: &StageApp) {
    let id = stage.start(app, Kind::Service, "serve").await;
    stage.unsatisfied(id).await;
    let why = stage.state(id, "waiting").await;
    assert!(matches!(why, InstanceState::Waiting { missing, why } if missing.len() == 1 && why.contains("Lab has 0")));
    stage
        .command(InstanceCommand::Stop {
            id,
            why: "enough".to_owned(),
            by: None,
        })
        .await;
    stage.state(id, "stopped").await;
}

async fn a_service_runs_without_rights_and_survives(stage: &mut Stage, app: &StageApp) {
    let id = stage.start(app, Kind::Service, "serve").await;
    stage.bound(id).await;
    stage.state(id, "running").await;
    stage.endpoint(id).await;
    let log = stage.log(id, "done").await;
    for expected in [
        "uid 10001 gid 10001",
        "CapEff: 0000000000000000",
        "NoNewPrivs: 1",
        "Seccomp: 2",
        "write /app: Read-only file system",
        "write /tmp: ok",
        "token: ok",
        "gateway: echo hello",
        "metadata: refused",
        "engine: refused",
        "sdk: ok",
        "parameters: {\"braces\":\"{{.Node.ID}}\",\"mode\":\"serve\"}",
    ] {
        assert!(log.iter().any(|line| line == expected), "{expected} in {log:#?}");
    }

    stage.kill_container(id).await;
    stage.state(id, "failing").await;
    stage.state(id, "running").await;
    assert_eq!(stage.instance(id).restarts, 1);

    stage.kill_services().await;
    stage.kill_container(id).await;
    stage.start_services();
    stage.restarts(id, 2).await;
    stage.state(id, "running").await;
    assert_eq!(stage.services_of(id).await, 1);

    // Its last words are read although its container goes with it.
    stage
        .command(InstanceCommand::Stop {
            id,
            why: "enough".to_owned(),
            by: None,
        })
        .await;
    stage.state(id, "stopped").await;
    stage.log(id, "goodbye").await;
    stage.numbers_are_without_gap(id);
}

async fn tasks_end_as_their_programs_do(stage: &mut Stage, app: &StageApp) {
    let mut runs = Vec::new();
    for mode in ["exit0", "exit3", "memory"] {
        let id = stage.start(app, Kind::Task, mode).await;
        stage.bound(id).await;
        runs.push((mode, id));
    }
    for (mode, id) in runs {
        let expected = if mode == "exit0" { "succeeded" } else { "failed" };
        match (mode, stage.state(id, expected).await) {
            ("exit0", InstanceState::Succeeded) => {}
            ("exit3", InstanceState::Failed { exit_code: Some(3), .. }) => {}
            ("memory", InstanceState::Failed { why, .. }) => assert!(why.contains("64 MiB of memory"), "{why}"),
            other => panic!("{other:?}"),
        }
        stage.log(id, &format!("mode {mode}")).await;
    }
}

async fn a_crash_loop_is_held_back(stage: &mut Stage, app: &StageApp) {
    let id = stage.start(app, Kind::Service, "exit3").await;
    stage.bound(id).await;
    stage.restarts(id, 4).await;
    let InstanceState::Failing {
        why,
        next_try: Some(next),
    } = stage.state(id, "failing").await
    else {
        panic!()
    };
    assert_eq!(why, "it ended with exit code 3");
    assert!(next.millis_since(stage.instance(id).since) > 0);
    stage
        .command(InstanceCommand::Stop {
            id,
            why: "enough".to_owned(),
            by: None,
        })
        .await;
    stage.state(id, "stopped").await;
}
