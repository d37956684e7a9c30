//! Passwords: argon2id, at most two at once, on threads that may be busy.

use anyhow::{Context as _, anyhow};
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use common::rules::Problem;
use tokio::sync::Semaphore;

/// Shortest password, in characters.
const SHORTEST: usize = 10;
/// Longest password, in bytes.
const LONGEST: usize = 256;

/// Hashes and verifies.
#[derive(Debug)]
pub(crate) struct Passwords {
    gate: Semaphore,
    params: Params,
    /// Verified against when there is no such user, so that the time tells nothing.
    decoy: String,
}

impl Passwords {
    /// Makes a hasher with the library's recommended cost.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Self::with(Params::default())
    }

    /// Makes a hasher that costs nothing.
    #[cfg(test)]
    pub(crate) fn cheap() -> Self {
        Self::with(Params::new(8, 1, 1, None).unwrap()).unwrap()
    }

    fn with(params: Params) -> anyhow::Result<Self> {
        let decoy = hash(params.clone(), &super::new_secret())?;
        Ok(Self {
            gate: Semaphore::new(2),
            params,
            decoy,
        })
    }

    /// Hashes a password.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(crate) async fn hash(&self, password: String) -> anyhow::Result<String> {
        let _permit = self.gate.acquire().await?;
        let params = self.params.clone();
        tokio::task::spawn_blocking(move || hash(params, &password)).await?
    }

    /// Verifies a password against the hash of a user; without a hash it takes as long and is never right.
    ///
    /// # Errors
    /// When the hash is not one.
    pub(crate) async fn verify(&self, password: String, hash: Option<String>) -> anyhow::Result<bool> {
        let _permit = self.gate.acquire().await?;
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.clone());
        let right = tokio::task::spawn_blocking(move || {
            let parsed =
                PasswordHash::new(&hash).map_err(|error| anyhow!("a password hash can not be read: {error}"))?;
            anyhow::Ok(Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok())
        })
        .await
        .context("the password check was cut off")??;
        Ok(right && known)
    }
}

fn hash(params: Params, password: &str) -> anyhow::Result<String> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| anyhow!("could not hash a password: {error}"))
}

/// Checks a new password.
pub(crate) fn check_password(path: &str, password: &str, name: &str) -> Result<(), Problem> {
    let length = password.chars().count();
    if length < SHORTEST || password.len() > LONGEST {
        return Err(Problem::new(
            path,
            format!("{length} characters"),
            format!("{SHORTEST} to {LONGEST} characters"),
        ));
    }
    if password.eq_ignore_ascii_case(name) {
        return Err(Problem::new(
            path,
            "the user's name",
            "something that others do not know",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_user_passes() {
        let passwords = Passwords::cheap();
        let hash = passwords.hash("correct horse".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert!(
            passwords
                .verify("correct horse".to_owned(), Some(hash.clone()))
                .await
                .unwrap()
        );
        assert!(!passwords.verify("correct horsf".to_owned(), Some(hash)).await.unwrap());
        assert!(!passwords.verify("correct horse".to_owned(), None).await.unwrap());
    }

    #[test]
    fn passwords_are_long_and_not_the_name() {
        assert!(check_password("new", "0123456789", "admin").is_ok());
        for bad in ["", "short", "administrator", &"x".repeat(300)] {
            assert!(check_password("new", bad, "Administrator").is_err(), "{bad}");
        }
    }
}
