//! Files of private keys.

use std::os::unix::fs::PermissionsExt as _;

use russh::keys::Algorithm;
use russh::keys::key::safe_rng;

use super::world::{World, key, write_key};
use crate::ssh::{KeyProblem, Passphrase, SshError, needs_passphrase};

async fn problem(world: &World) -> KeyProblem {
    let error = world.refusal().await;
    let text = error.to_string();
    assert!(text.contains("edge-1: the private key /"), "{text}");
    match error {
        SshError::KeyFile { problem, .. } => problem,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_key_that_others_may_read_is_not_used() {
    let world = World::new().await;
    let path = world.target.identity.key.clone().unwrap();
    for mode in [0o644, 0o640, 0o604, 0o622] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(problem(&world).await, KeyProblem::Permissions(mode));
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
    world.session().await.close().await;
}

#[tokio::test]
async fn what_is_no_key_is_told() {
    let mut world = World::new().await;
    let path = world.home.path().join("other");
    world.target.identity.key = Some(path.clone());
    assert_eq!(problem(&world).await, KeyProblem::Missing);
    let public = world.host_key.public_key().to_openssh().unwrap();
    for text in [
        "",
        "hello",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n",
        public.as_str(),
    ] {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(problem(&world).await, KeyProblem::NotAKey(_)), "{text}");
    }
    world.target.identity.key = Some(world.home.path().to_owned());
    assert!(matches!(problem(&world).await, KeyProblem::NotAKey(_)));
}

#[tokio::test]
async fn an_encrypted_key_needs_its_passphrase() {
    let own = key(Algorithm::Ed25519);
    let mut world = World::keyed(own.clone(), |_| {}).await;
    let path = world.target.identity.key.clone().unwrap();
    write_key(&path, &own.encrypt(&mut safe_rng(), "open sesame").unwrap(), 0o600);
    assert_eq!(problem(&world).await, KeyProblem::NeedsPassphrase);
    assert!(needs_passphrase(&path) && !needs_passphrase(world.home.path()));
    world.target.identity.passphrase = Some(Passphrase::new("sesame"));
    assert_eq!(problem(&world).await, KeyProblem::WrongPassphrase);
    world.target.identity.passphrase = Some(Passphrase::new("open sesame"));
    assert!(!format!("{:?}", world.target).contains("sesame"));
    world.session().await.close().await;
}

#[tokio::test]
async fn pkcs8_keys_are_understood() {
    let own = key(Algorithm::Ed25519);
    let mut world = World::keyed(own.clone(), |_| {}).await;
    let path = world.target.identity.key.clone().unwrap();
    let mut text = Vec::new();
    russh::keys::encode_pkcs8_pem_encrypted(&own, b"open sesame", 10, &mut text).unwrap();
    std::fs::write(&path, text).unwrap();
    assert_eq!(problem(&world).await, KeyProblem::NeedsPassphrase);
    world.target.identity.passphrase = Some(Passphrase::new("open sesame"));
    world.session().await.close().await;
}
