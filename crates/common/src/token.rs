//! The token by which a container proves which instance it is: `<instance>.<HMAC-SHA256 in hex>`.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::InstanceId;

/// Key shared by deployer, sensor manager and action manager (secret `token.key`).
#[derive(Clone)]
pub struct TokenKey(Vec<u8>);

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey(***)")
    }
}

impl TokenKey {
    /// Takes the text of the secret.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        Self(secret.as_bytes().to_vec())
    }

    fn mac(&self, instance: InstanceId) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(instance.to_string().as_bytes());
        Some(mac)
    }

    /// Makes the token of an instance.
    #[must_use]
    pub fn issue(&self, instance: InstanceId) -> String {
        let tag = self
            .mac(instance)
            .map(|mac| hex::encode(mac.finalize().into_bytes()))
            .unwrap_or_default();
        format!("{instance}.{tag}")
    }

    /// Returns the instance that a token proves, in constant time for equal lengths.
    #[must_use]
    pub fn check(&self, token: &str) -> Option<InstanceId> {
        let (instance, tag) = token.trim().split_once('.')?;
        let instance: InstanceId = instance.parse().ok()?;
        let tag = hex::decode(tag).ok()?;
        self.mac(instance)?.verify_slice(&tag).ok().map(|()| instance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_key_and_instance_pass() {
        let key = TokenKey::new("k1");
        let instance = InstanceId::new();
        let token = key.issue(instance);
        assert_eq!(key.check(&token), Some(instance));
        assert_eq!(TokenKey::new("k2").check(&token), None);
        assert_eq!(
            key.check(&token.replacen(&instance.to_string(), &InstanceId::new().to_string(), 1)),
            None
        );
        for broken in ["", ".", "x.y", &instance.to_string(), &format!("{instance}.")] {
            assert_eq!(key.check(broken), None, "{broken}");
        }
    }
}
