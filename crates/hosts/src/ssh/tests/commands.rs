//! Commands.

use std::time::{Duration, Instant};

use super::world::{PLENTY, SHORT, World};
use crate::ssh::{Phase, SshError};

#[tokio::test]
async fn a_command_reads_its_input_and_tells_its_status() {
    let world = World::new().await;
    let session = world.session().await;
    let output = session
        .run("sed s/a/b/; echo \"it's\" >&2; exit 7", b"banana\n", PLENTY)
        .await
        .unwrap();
    assert_eq!(output.status, Some(7));
    assert_eq!(output.stdout, b"bbnana\n");
    assert_eq!(output.stderr, b"it's\n");
    session.close().await;
}

#[tokio::test]
async fn much_passes_in_both_directions() {
    let world = World::new().await;
    let session = world.session().await;
    let input: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[1]).collect();
    let output = session.run("cat", &input, PLENTY).await.unwrap();
    assert_eq!(output.status, Some(0));
    assert!(output.stdout == input);
}

#[tokio::test]
async fn a_command_may_leave_its_input_unread() {
    let world = World::new().await;
    let session = world.session().await;
    let output = session.run("exit 3", &vec![0; 5_000_000], PLENTY).await.unwrap();
    assert_eq!(output.status, Some(3));
}

#[tokio::test]
async fn commands_run_side_by_side() {
    let world = World::new().await;
    let session = world.session().await;
    // Each waits for what the other makes.
    let (one, two) = tokio::join!(
        session.run("mkfifo pipe; touch ready; cat pipe", b"", PLENTY),
        session.run("until [ -e ready ]; do :; done; echo met > pipe", b"", PLENTY),
    );
    assert_eq!(one.unwrap().stdout, b"met\n");
    assert_eq!(two.unwrap().status, Some(0));
}

#[tokio::test]
async fn a_command_that_hangs_is_given_up_and_the_next_one_runs() {
    let world = World::new().await;
    let session = world.session().await;
    let started = Instant::now();
    let error = session
        .run("echo $$ > pid; exec sleep 1000", b"", Duration::from_secs(1))
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        SshError::TimedOut {
            phase: Phase::Command,
            ..
        }
    ));
    assert!(started.elapsed() < Duration::from_secs(30));
    let gone = session
        .run("while kill -0 $(cat pid) 2>/dev/null; do :; done", b"", PLENTY)
        .await
        .unwrap();
    assert_eq!(gone.status, Some(0));
}

#[tokio::test]
async fn a_command_that_a_signal_ends_has_no_status_or_the_shells() {
    let world = World::new().await;
    let session = world.session().await;
    let output = session.run("sh -c 'kill -9 $$'; echo $?", b"", PLENTY).await.unwrap();
    assert_eq!(output.stdout, b"137\n");
}

#[tokio::test]
async fn a_host_without_commands_is_told() {
    let world = World::with(|setup| setup.runs_commands = false).await;
    let session = world.session().await;
    let error = session.run("true", b"", PLENTY).await.unwrap_err();
    assert!(matches!(error, SshError::Command { .. }), "{error}");
}

#[tokio::test]
async fn what_says_too_much_is_stopped() {
    let world = World::new().await;
    let session = world.session().await;
    let error = session.run("cat /dev/zero", b"", PLENTY).await.unwrap_err();
    assert!(error.to_string().contains("64 MiB"), "{error}");
    assert_eq!(session.run("true", b"", SHORT * 100).await.unwrap().status, Some(0));
}

#[tokio::test]
async fn what_does_not_end_is_taken_as_it_comes_until_nobody_wants_more() {
    let world = World::new().await;
    let session = world.session().await;
    let mut lines = 0;
    let mut take = |bytes: &[u8]| {
        lines += bytes.iter().filter(|byte| **byte == b'\n').count();
        if lines < 1000 {
            Ok(())
        } else {
            Err(std::io::Error::other("enough"))
        }
    };
    let error = session
        .run_taking("echo $$ > pid; exec yes", b"", PLENTY, &mut take)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("enough"), "{error}");
    assert!(lines >= 1000);
    let gone = "while kill -0 $(cat pid) 2>/dev/null; do :; done";
    assert_eq!(session.run(gone, b"", PLENTY).await.unwrap().status, Some(0));
}
