//! Who is let in.

use std::path::PathBuf;

use russh::keys::key::safe_rng;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::{Decode as _, Encode as _};
use russh::keys::ssh_key::private::{KeypairData, RsaKeypair};
use russh::keys::{Algorithm, PrivateKey};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use super::world::{SHORT, World, fingerprint, key, write_key};
use crate::ssh::{Agent, Phase, SshError};

#[tokio::test]
async fn the_right_key_signs_in() {
    let world = World::new().await;
    world.session().await.close().await;
    let signed = world.server.signed.lock().unwrap().clone();
    assert_eq!(signed, [("deployer".to_owned(), "ssh-ed25519".to_owned())]);
}

#[tokio::test]
async fn another_key_is_refused_and_what_was_tried_is_told() {
    let world = World::new().await;
    let path = world.target.identity.key.clone().unwrap();
    write_key(&path, &key(Algorithm::Ed25519), 0o600);
    let error = world.refusal().await;
    assert!(matches!(error, SshError::Refused { .. }) && !error.is_passing());
    let text = error.to_string();
    for part in ["edge-1", "`deployer`", "/id (ssh-ed25519)", "authorized_keys"] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn another_user_is_refused() {
    let mut world = World::new().await;
    world.target.user = "root".to_owned();
    let error = world.refusal().await;
    assert!(
        matches!(&error, SshError::Refused { user, .. } if user == "root"),
        "{error}"
    );
}

#[tokio::test]
async fn nothing_to_offer_is_told() {
    let mut world = World::new().await;
    world.target.identity.key = None;
    let text = world.refusal().await.to_string();
    assert!(text.contains("tried nothing; name a key file"), "{text}");
}

#[tokio::test]
async fn a_server_that_thinks_for_ever_is_given_up() {
    let mut world = World::with(|setup| setup.thinks = true).await;
    world.target.timeouts.authentication = SHORT;
    let error = world.refusal().await;
    assert!(matches!(
        error,
        SshError::TimedOut {
            phase: Phase::Authentication,
            ..
        }
    ));
}

#[tokio::test]
async fn an_rsa_key_signs_with_sha2() {
    let pair = RsaKeypair::random(&mut safe_rng(), 2048).unwrap();
    let own = PrivateKey::new(KeypairData::Rsa(pair), "").unwrap();
    let world = World::keyed(own, |_| {}).await;
    world.session().await.close().await;
    let signed = world.server.signed.lock().unwrap().clone();
    assert_eq!(signed, [("deployer".to_owned(), "rsa-sha2-512".to_owned())]);
}

#[tokio::test]
async fn an_agent_signs_in() {
    let own = key(Algorithm::Ed25519);
    let mut world = World::keyed(own.clone(), |_| {}).await;
    world.target.identity.key = None;
    let other = key(Algorithm::Ed25519);
    world.target.identity.agent = Agent::Socket(agent(&world, vec![other.clone(), own]));
    world.session().await.close().await;

    world.target.identity.agent = Agent::Socket(agent(&world, vec![other.clone()]));
    let text = world.refusal().await.to_string();
    assert!(text.contains(&fingerprint(&other)), "{text}");
}

#[tokio::test]
async fn an_encrypted_key_is_left_to_the_agent() {
    let own = key(Algorithm::Ed25519);
    let mut world = World::keyed(own.clone(), |_| {}).await;
    let path = world.target.identity.key.clone().unwrap();
    write_key(&path, &own.encrypt(&mut safe_rng(), "open sesame").unwrap(), 0o600);
    world.target.identity.agent = Agent::Socket(agent(&world, vec![own]));
    world.session().await.close().await;
}

#[tokio::test]
async fn too_many_keys_are_told_as_such() {
    let mut world = World::new().await;
    world.target.identity.key = None;
    let keys = (0..6).map(|_| key(Algorithm::Ed25519)).collect();
    world.target.identity.agent = Agent::Socket(agent(&world, keys));
    let text = world.refusal().await.to_string();
    assert!(text.contains("too many keys"), "{text}");
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_told() {
    let mut world = World::new().await;
    world.target.identity.agent = Agent::Socket(world.home.path().join("none"));
    world.session().await.close().await;
    world.target.identity.key = None;
    let error = world.refusal().await;
    assert!(matches!(error, SshError::Agent { .. }), "{error}");
}

/// Starts an agent and returns its socket.
fn agent(world: &World, keys: Vec<PrivateKey>) -> PathBuf {
    let socket = world.home.path().join(format!("agent{}", keys.len()));
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            serve(stream, &keys).await;
        }
    });
    socket
}

async fn serve(mut stream: UnixStream, keys: &[PrivateKey]) {
    while let Ok(length) = stream.read_u32().await {
        let mut request = vec![0; length as usize];
        stream.read_exact(&mut request).await.unwrap();
        let mut answer = Vec::new();
        match request.split_first().unwrap() {
            (11, _) => {
                answer.push(12);
                u32::try_from(keys.len()).unwrap().encode(&mut answer).unwrap();
                for key in keys {
                    key.public_key().to_bytes().unwrap().encode(&mut answer).unwrap();
                    "a key".encode(&mut answer).unwrap();
                }
            }
            (13, mut rest) => {
                let wanted = Vec::<u8>::decode(&mut rest).unwrap();
                let text = Vec::<u8>::decode(&mut rest).unwrap();
                let key = keys.iter().find(|key| key.public_key().to_bytes().unwrap() == wanted);
                let mut signature = Vec::new();
                key.unwrap().try_sign(&text).unwrap().encode(&mut signature).unwrap();
                answer.push(14);
                signature.encode(&mut answer).unwrap();
            }
            (other, _) => panic!("{other} was asked of the agent"),
        }
        stream.write_u32(u32::try_from(answer.len()).unwrap()).await.unwrap();
        stream.write_all(&answer).await.unwrap();
    }
}
