//! The key of the host.

use russh::keys::{Algorithm, PublicKey};

use super::world::{ECDSA, World, fingerprint, key, line, target};
use crate::ssh::trust::Expectation;
use crate::ssh::{HostKey, Session, SshError, host_key, learn};

#[tokio::test]
async fn a_known_key_lets_us_go_on() {
    let world = World::new().await;
    world.session().await.close().await;
}

#[tokio::test]
async fn an_unknown_key_is_refused_before_a_user_is_named() {
    let world = World::new().await;
    world.knows("");
    let error = world.refusal().await;
    let found = fingerprint(&world.host_key);
    assert!(
        matches!(&error, SshError::HostKeyUnknown { host, fingerprint, .. } if host == "edge-1" && *fingerprint == found)
    );
    assert!(error.to_string().contains(&found), "{error}");
    assert!(world.server.signed.lock().unwrap().is_empty());
    std::fs::remove_file(&world.target.trust.known_hosts).unwrap();
    assert!(matches!(world.refusal().await, SshError::HostKeyUnknown { .. }));
}

#[tokio::test]
async fn a_changed_key_stops_and_both_fingerprints_are_told() {
    let world = World::new().await;
    let old = key(Algorithm::Ed25519);
    world.knows(&line(world.server.port, &old));
    let error = world.refusal().await;
    assert!(matches!(error, SshError::HostKeyChanged { .. }) && !error.is_passing());
    let text = error.to_string();
    for part in [
        fingerprint(&old),
        fingerprint(&world.host_key),
        format!("'[127.0.0.1]:{}'", world.server.port),
    ] {
        assert!(text.contains(&part), "{text}");
    }
    assert!(world.server.signed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_known_host_with_another_algorithm_has_changed() {
    let world = World::new().await;
    world.knows(&line(world.server.port, &key(ECDSA)));
    assert!(matches!(world.refusal().await, SshError::HostKeyChanged { .. }));
}

#[tokio::test]
async fn of_several_keys_the_host_is_asked_for_the_known_one() {
    let second = key(ECDSA);
    let world = World::with(|setup| setup.keys.push(second.clone())).await;
    world.knows(&line(world.server.port, &second));
    world.session().await.close().await;
}

#[tokio::test]
async fn of_several_known_keys_one_is_enough() {
    let world = World::new().await;
    let port = world.server.port;
    let lines = [key(Algorithm::Ed25519), world.host_key.clone(), key(ECDSA)].map(|key| line(port, &key));
    world.knows(&lines.concat());
    world.session().await.close().await;
}

#[tokio::test]
async fn a_revoked_key_is_refused_even_where_it_is_known() {
    let world = World::new().await;
    let known = line(world.server.port, &world.host_key);
    let (_, key) = known.split_once(' ').unwrap();
    world.knows(&format!("{known}@revoked * {key}"));
    let error = world.refusal().await;
    assert!(error.to_string().contains("revoked"), "{error}");
}

#[tokio::test]
async fn the_fingerprint_of_the_configuration_wins() {
    let mut world = World::new().await;
    world.knows("");
    world.target.trust.fingerprint = Some(fingerprint(&world.host_key));
    world.session().await.close().await;

    let other = fingerprint(&key(Algorithm::Ed25519));
    world.knows(&line(world.server.port, &world.host_key));
    world.target.trust.fingerprint = Some(other.clone());
    let error = world.refusal().await;
    assert!(matches!(error, SshError::HostKeyChanged { .. }));
    let text = error.to_string();
    assert!(
        text.contains(&other) && text.contains(&fingerprint(&world.host_key)),
        "{text}"
    );

    world.target.trust.fingerprint = Some("MD5:00:11".to_owned());
    assert!(matches!(world.refusal().await, SshError::Fingerprint { .. }));
}

#[tokio::test]
async fn a_key_is_looked_at_without_signing_in_and_learnt() {
    let mut world = World::new().await;
    let folder = world.home.path().join("not/yet");
    world.target.trust.known_hosts = folder.join("known_hosts");
    let shown = host_key(&world.target).await.unwrap();
    assert_eq!(shown.algorithm, "ssh-ed25519");
    assert_eq!(shown.fingerprint, fingerprint(&world.host_key));
    assert_eq!(format!("{}\n", shown.line), line(world.server.port, &world.host_key));
    assert!(world.server.signed.lock().unwrap().is_empty());

    learn(&world.target.trust.known_hosts, &shown).unwrap();
    learn(&world.target.trust.known_hosts, &shown).unwrap();
    assert_eq!(world.known(), line(world.server.port, &world.host_key));
    world.session().await.close().await;
}

#[tokio::test]
async fn what_is_learnt_stands_beside_what_was_there_but_replaces_nothing() {
    let world = World::new().await;
    let shown = host_key(&world.target).await.unwrap();
    world.knows("other.example ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ");
    learn(&world.target.trust.known_hosts, &shown).unwrap();
    assert_eq!(world.known().lines().count(), 2);

    let old = line(world.server.port, &key(Algorithm::Ed25519));
    world.knows(&old);
    let error = learn(&world.target.trust.known_hosts, &shown).unwrap_err();
    assert!(matches!(error, SshError::HostKeyChanged { .. }));
    assert_eq!(world.known(), old);
}

#[test]
fn hashed_names_and_ports_are_understood() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("known_hosts");
    let base64 = "AAAAC3NzaC1lZDI1NTE5AAAAIOI+nlnVQAl25WmboC9XCc4aYwiP6UHk+hGtdEA2KI7W";
    // As `ssh-keygen -H` writes `[127.0.0.1]:2222` and `edge.example`.
    let hashed = [
        "|1|b13lsfE0tuLW2ha0mgOd248Ju40=|zB2kfvTE/tvlVUhir2LRhmQIIJ4=",
        "|1|2VdMgyiFS8zQjBv4DZF5TCf3CN8=|6QKfu8jBLBuoGkn1G9OvJC48cEw=",
    ];
    let lines = hashed.map(|name| format!("{name} ssh-ed25519 {base64}\n"));
    std::fs::write(&file, lines.concat()).unwrap();
    let known = PublicKey::from_openssh(&format!("ssh-ed25519 {base64}")).unwrap();
    let other = key(Algorithm::Ed25519).public_key().clone();
    let at = |address: &str, port| {
        let mut target = target(port, folder.path().join("id"), file.clone());
        target.address = address.to_owned();
        target
    };
    for place in [at("127.0.0.1", 2222), at("edge.example", 22), at("EDGE.example", 22)] {
        let expectation = Expectation::of(&place).unwrap();
        expectation.check(&place, &known).unwrap();
        let error = expectation.check(&place, &other).unwrap_err();
        assert!(matches!(error, SshError::HostKeyChanged { .. }));
    }
    for place in [at("127.0.0.1", 22), at("edge.example", 2222)] {
        let error = Expectation::of(&place).unwrap().check(&place, &known).unwrap_err();
        assert!(matches!(error, SshError::HostKeyUnknown { .. }));
    }
    let key = HostKey::new(&at("Edge.example", 22), known);
    assert_eq!(key.line, format!("edge.example ssh-ed25519 {base64}"));
    assert_eq!(key.fingerprint, "SHA256:UOCAAxwfbokw6G19ARPmcE/pP7lQasFyMaMye2vO6ck");
}

#[test]
fn a_session_can_be_used_by_all_threads() {
    fn shared<T: Send + Sync>() {}
    fn sendable<T: Send>(_: T) {}
    shared::<Session>();
    let place = target(1, "id".into(), "known_hosts".into());
    sendable(Session::connect(&place));
    sendable(host_key(&place));
}
