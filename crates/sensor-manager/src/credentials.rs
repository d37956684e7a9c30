//! Signing in: a connector's id and its secret, of which the registry knows only the SHA-256.

use std::sync::Arc;

use common::ConnectorId;
use common::messages::registry::Connector;
use sha2::{Digest, Sha256};

use crate::registry::Directory;

/// Said to whoever fails, whatever the cause: it must not tell which connectors exist.
pub(crate) const DENIED: &str = "unknown connector or wrong secret; the user name is the connector's id, the password its secret, shown once when it was registered";

/// Returns the connector when the secret is its own.
pub(crate) fn sign_in(directory: &Directory, user: &str, secret: &[u8]) -> Option<Arc<Connector>> {
    let id: ConnectorId = user.trim().parse().ok()?;
    let connector = directory.connector(id)?;
    let found = hex::encode(Sha256::digest(secret));
    same(
        found.as_bytes(),
        connector.secret_sha256.to_ascii_lowercase().as_bytes(),
    )
    .then_some(connector)
}

/// Whether a connection that signed in with this entry may go on.
pub(crate) fn still_valid(directory: &Directory, connector: &Connector) -> bool {
    directory
        .connector(connector.id)
        .is_some_and(|now| now.secret_sha256 == connector.secret_sha256)
}

/// Compares in a time that does not depend on where the two differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::fixtures;

    #[test]
    fn only_the_own_secret_signs_in() {
        let directory = fixtures::directory();
        let id = fixtures::connector().to_string();
        assert!(sign_in(&directory, &id, b"secret").is_some());
        for (user, secret) in [
            (id.as_str(), &b"Secret"[..]),
            (&id, b""),
            ("nobody", b"secret"),
            ("", b"secret"),
            (&ConnectorId::new().to_string(), b"secret"),
        ] {
            assert!(sign_in(&directory, user, secret).is_none(), "{user}");
        }
        let connector = sign_in(&directory, &id, b"secret").unwrap();
        assert!(still_valid(&directory, &connector));
        directory.replace([]);
        assert!(!still_valid(&directory, &connector));
    }
}
