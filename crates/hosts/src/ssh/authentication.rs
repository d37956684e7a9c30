//! Signing in: the key of the file first, then those of the agent.

use std::path::PathBuf;
use std::sync::Arc;

use russh::client::{AuthResult, Handle};
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg};
use tokio::task::spawn_blocking;

use super::agent;
use super::error::{KeyProblem, Phase, SshError};
use super::key;
use super::link::Client;
use super::target::{Agent, Target};

/// Reads the private key of a target. An encrypted one without a passphrase is left out when an agent is there: it holds it open.
pub(super) async fn own_key(target: &Target) -> Result<Option<Arc<PrivateKey>>, SshError> {
    let Some(path) = target.identity.key.clone() else {
        return Ok(None);
    };
    let failed = |problem| SshError::KeyFile {
        host: target.name.clone(),
        path: path.clone(),
        problem,
    };
    let (file, passphrase): (PathBuf, _) = (path.clone(), target.identity.passphrase.clone());
    // A key that is encrypted is made costly to open on purpose.
    let loaded = spawn_blocking(move || key::load(&file, passphrase.as_ref())).await;
    match loaded {
        Ok(Ok(key)) => Ok(Some(Arc::new(key))),
        Ok(Err(KeyProblem::NeedsPassphrase)) if target.identity.agent != Agent::Off => Ok(None),
        Ok(Err(problem)) => Err(failed(problem)),
        Err(error) => Err(failed(KeyProblem::Unreadable(error.to_string()))),
    }
}

/// Offers all keys until one is taken.
pub(super) async fn sign_in(
    target: &Target,
    handle: &mut Handle<Client>,
    key: Option<Arc<PrivateKey>>,
) -> Result<(), SshError> {
    let mut attempt = Attempt {
        target,
        handle,
        tried: Vec::new(),
        methods: String::new(),
    };
    if let Some(key) = key
        && attempt.offer_file(key).await?
    {
        return Ok(());
    }
    match agent::open(target).await {
        Ok(None) => {}
        Ok(Some((client, keys))) => {
            if attempt.offer_agent(client, keys).await? {
                return Ok(());
            }
        }
        // With a key that was refused, that is the news; without any, the agent is.
        Err(error) if attempt.tried.is_empty() => return Err(error),
        Err(error) => attempt.tried.push(error.to_string()),
    }
    Err(attempt.refused())
}

struct Attempt<'a> {
    target: &'a Target,
    handle: &'a mut Handle<Client>,
    tried: Vec<String>,
    methods: String,
}

impl Attempt<'_> {
    async fn offer_file(&mut self, key: Arc<PrivateKey>) -> Result<bool, SshError> {
        let path = self.target.identity.key.clone().unwrap_or_default();
        self.tried
            .push(format!("the key {} ({})", path.display(), key.algorithm()));
        let hash = self.hash(key.algorithm().is_rsa()).await?;
        let offered = PrivateKeyWithHashAlg::new(key, hash);
        let result = self
            .handle
            .authenticate_publickey(self.target.user.as_str(), offered)
            .await;
        let result = result.map_err(|error| SshError::closed(self.target, Phase::Authentication, error))?;
        Ok(self.is_in(&result))
    }

    async fn offer_agent(
        &mut self,
        mut client: agent::Client,
        keys: Vec<russh::keys::PublicKey>,
    ) -> Result<bool, SshError> {
        if keys.is_empty() {
            self.tried.push("an agent that holds no key".to_owned());
        }
        for key in keys {
            let name = key.fingerprint(HashAlg::Sha256);
            self.tried.push(format!("the agent's key {name} ({})", key.algorithm()));
            let hash = self.hash(key.algorithm().is_rsa()).await?;
            let user = self.target.user.as_str();
            let signed = self
                .handle
                .authenticate_publickey_with(user, key, hash, &mut client)
                .await;
            match signed {
                Ok(result) if self.is_in(&result) => return Ok(true),
                Ok(_) if self.handle.is_closed() => break,
                Ok(_) => {}
                // An agent may decline one key, as when its owner says no; the next one may do.
                Err(error) if self.handle.is_closed() => {
                    return Err(SshError::closed(self.target, Phase::Authentication, error));
                }
                Err(error) => self.tried.push(format!("which it did not use ({error})")),
            }
        }
        Ok(false)
    }

    /// Hash for the signature of an RSA key. A server that names none is asked for SHA-512, which all know that are not from
    /// before 2016; one that knows only SHA-1 does not let us in.
    async fn hash(&self, is_rsa: bool) -> Result<Option<HashAlg>, SshError> {
        if !is_rsa {
            return Ok(None);
        }
        let best = self.handle.best_supported_rsa_hash().await;
        let best = best.map_err(|error| SshError::closed(self.target, Phase::Authentication, error))?;
        Ok(Some(best.flatten().unwrap_or(HashAlg::Sha512)))
    }

    fn is_in(&mut self, result: &AuthResult) -> bool {
        if let AuthResult::Failure { remaining_methods, .. } = result {
            let names: Vec<&str> = remaining_methods.iter().map(Into::into).collect();
            self.methods = names.join(", ");
        }
        result.success()
    }

    fn refused(self) -> SshError {
        // Who hangs up at the first key has not judged it.
        if self.handle.is_closed() && self.tried.len() < 2 {
            return SshError::closed(self.target, Phase::Authentication, "the host hung up");
        }
        let user = &self.target.user;
        let hint = if self.tried.is_empty() {
            "name a key file, or use an agent".to_owned()
        } else if self.handle.is_closed() {
            "the host closed the connection, perhaps after too many keys; name the key file to offer first".to_owned()
        } else if !self.methods.is_empty() && !self.methods.contains("publickey") {
            format!("the host lets in by {} only; allow public keys there", self.methods)
        } else {
            format!("check the user's name, and that the public key stands in ~{user}/.ssh/authorized_keys on the host")
        };
        SshError::Refused {
            host: self.target.name.clone(),
            user: user.clone(),
            tried: self.tried,
            hint,
        }
    }
}
