//! The way to the host.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::world::{PLENTY, SHORT, World, fingerprint, refusal};
use crate::ssh::{Phase, SshError, Target, host_key};

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Break {
    Close,
    Silence,
}

/// A way to a port that breaks after that many bytes were sent.
pub(super) async fn cut(port: u16, after: usize, how: Break) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (near, _) = listener.accept().await.unwrap();
        let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let ((mut near_read, mut near_write), (mut far_read, mut far_write)) = (near.into_split(), far.into_split());
        let back = tokio::spawn(async move { tokio::io::copy(&mut far_read, &mut near_write).await });
        let mut left = after;
        let mut chunk = vec![0; 65536];
        while left > 0 {
            let read = near_read.read(&mut chunk).await.unwrap_or(0);
            if read == 0 {
                return;
            }
            let passed = read.min(left);
            if far_write.write_all(&chunk[..passed]).await.is_err() {
                return;
            }
            left -= passed;
        }
        if how == Break::Silence {
            std::future::pending::<()>().await;
        }
        back.abort();
    });
    own
}

/// Says this to each who comes, and then nothing.
async fn mute(greeting: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(greeting).await.unwrap();
            held.push(stream);
        }
    });
    port
}

#[tokio::test]
async fn a_host_that_falls_silent_after_its_banner_is_given_up() {
    let mut world = World::new().await;
    world.target.timeouts.handshake = SHORT;
    for greeting in [b"".as_slice(), b"SSH-2.0-OpenSSH_9.9\r\n"] {
        world.target.port = mute(greeting).await;
        let started = Instant::now();
        let errors = [world.refusal().await, host_key(&world.target).await.unwrap_err()];
        assert!(started.elapsed() < Duration::from_secs(20));
        for error in errors {
            assert!(
                matches!(
                    error,
                    SshError::TimedOut {
                        phase: Phase::Handshake,
                        ..
                    }
                ) && error.is_passing(),
                "{error}"
            );
            assert!(
                error.to_string().contains("within 0.3 s during the SSH handshake"),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn what_speaks_no_ssh_is_told() {
    let mut world = World::new().await;
    world.target.timeouts.handshake = SHORT;
    world.target.port = mute(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let error = world.refusal().await;
    // What comes before a banner is left out, as the protocol has it.
    assert!(matches!(error, SshError::TimedOut { .. }), "{error}");
    world.target.port = cut(mute(b"").await, 1, Break::Close).await;
    let error = world.refusal().await;
    assert!(
        matches!(
            error,
            SshError::Closed {
                phase: Phase::Handshake,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_closed_port_and_a_name_that_is_none_are_told() {
    let mut world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.target.port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = world.refusal().await;
    assert!(matches!(error, SshError::Unreachable { .. }));
    let text = error.to_string();
    assert!(
        text.contains(&format!("127.0.0.1:{}", world.target.port)) && text.contains("refused"),
        "{text}"
    );
    world.target.address = "no such name".to_owned();
    assert!(matches!(world.refusal().await, SshError::Unreachable { .. }));
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_found_by_its_keepalives() {
    let mut world = World::new().await;
    world.target.trust.fingerprint = Some(fingerprint(&world.host_key));
    world.target.timeouts.keepalive = Duration::from_millis(400);
    world.target.port = cut(world.server.port, 20_000, Break::Silence).await;
    let session = world.session().await;
    // The input does not pass, so that the command would wait for ever.
    let error = session.run("cat", &vec![0; 100_000], PLENTY).await.unwrap_err();
    assert!(matches!(error, SshError::Closed { .. }), "{error}");
    assert!(session.is_closed());
    let error = session.run("true", b"", PLENTY).await.unwrap_err();
    assert!(matches!(error, SshError::Closed { .. }), "{error}");
    session.close().await;
}

/// A target behind a bastion.
fn behind(bastion: &World, inner: &World) -> Target {
    let mut target = inner.target.clone();
    let mut first = bastion.target.clone();
    first.name = "gate".to_owned();
    target.bastion = Some(Box::new(first));
    target
}

#[tokio::test]
async fn a_host_behind_a_bastion_is_reached() {
    let (gate, inner) = (World::new().await, World::new().await);
    let target = behind(&gate, &inner);
    let session = crate::ssh::Session::connect(&target).await.unwrap();
    let output = session.run("pwd", b"", PLENTY).await.unwrap();
    let folder = inner.server.folder.path().to_string_lossy().into_owned();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), folder);
    session.close().await;
    let shown = host_key(&target).await.unwrap();
    assert_eq!(shown.fingerprint, fingerprint(&inner.host_key));
}

#[tokio::test]
async fn the_keys_of_both_are_checked() {
    let (gate, inner) = (World::new().await, World::new().await);
    let target = behind(&gate, &inner);
    inner.knows("");
    let error = refusal(&target).await;
    assert!(
        matches!(&error, SshError::HostKeyUnknown { host, .. } if host == "edge-1"),
        "{error}"
    );
    gate.knows("");
    let error = refusal(&target).await;
    assert!(
        matches!(&error, SshError::HostKeyUnknown { host, .. } if host == "gate"),
        "{error}"
    );
}

#[tokio::test]
async fn a_bastion_that_leads_nowhere_is_told() {
    let (gate, closed, inner) = (
        World::new().await,
        World::with(|setup| setup.forwards = false).await,
        World::new().await,
    );
    let text = refusal(&behind(&closed, &inner)).await.to_string();
    assert!(text.contains("bastion gate does not allow forwarding"), "{text}");
    let mut lost = behind(&gate, &inner);
    lost.port = 1;
    let text = refusal(&lost).await.to_string();
    assert!(text.contains("bastion gate found no way to it"), "{text}");
}
