//! Secrets of an installation: made once, one file each, for its account only.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use common::config::{Config, SecretName, SecretReference};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::layout::{Layout, account};
use crate::{accounts, files};

pub(crate) const TOKEN_KEY: &str = "token.key";
pub(crate) const FIRST_PASSWORD: &str = "first-admin.password";
pub(crate) const HOST_TOKEN: &str = "host.token";
/// The password of the mail account.
const SMTP_PASSWORD: &str = "smtp.password";
/// The password of `kafka.username`.
pub(crate) const KAFKA_PASSWORD: &str = "kafka.password";
/// The password of `mongodb.username`.
pub(crate) const MONGODB_PASSWORD: &str = "mongodb.password";
/// What people and devices see: private key and certificates.
pub(crate) const PUBLIC_CERTIFICATE: &str = "public.pem";
/// What an admin may bring; what `config.json` no longer names goes.
pub(crate) const BROUGHT: [&str; 4] = [SMTP_PASSWORD, KAFKA_PASSWORD, MONGODB_PASSWORD, PUBLIC_CERTIFICATE];
/// Authorities of a Kafka that somebody else runs, among the settings.
pub(crate) const KAFKA_CA: &str = "kafka-ca.pem";
/// Likewise of a MongoDB.
pub(crate) const MONGODB_CA: &str = "mongodb-ca.pem";

/// Whether every secret is there.
pub(crate) fn present(config: &Config, layout: &Layout) -> bool {
    let holds = |folder: PathBuf, all: Result<Vec<(&str, String)>>| {
        all.is_ok_and(|all| all.iter().all(|(name, value)| files::holds(&folder.join(name), value)))
    };
    let brought = holds(layout.secrets(), brought(config)) && holds(layout.etc(), authorities(config));
    let made = [TOKEN_KEY, HOST_TOKEN].map(str::to_owned).into_iter();
    made.chain(accounts::names())
        .all(|name| layout.secrets().join(name).exists())
        && brought
        && unwanted(config, layout).is_ok_and(|unwanted| unwanted.is_empty())
        && files::is_private(&layout.secrets())
}

/// Makes what is missing. The first admin's password is made with the key only: once used it is gone for good.
pub(crate) async fn make(config: &Config, layout: &Layout) -> Result<()> {
    let folder = layout.secrets();
    files::create_dir(&folder)?;
    files::keep_private(&folder, &account(&config.name)).await?;
    if !folder.join(TOKEN_KEY).exists() {
        files::write(&folder.join(FIRST_PASSWORD), &readable_password(), 0o600)?;
        files::write(&folder.join(TOKEN_KEY), &random_key(), 0o600)?;
    }
    for name in accounts::names().into_iter().chain([HOST_TOKEN.to_owned()]) {
        if !folder.join(&name).exists() {
            files::write(&folder.join(name), &random_key(), 0o600)?;
        }
    }
    for (name, value) in brought(config)? {
        files::write(&folder.join(name), &value, 0o600)?;
    }
    for path in unwanted(config, layout)? {
        std::fs::remove_file(&path).with_context(|| format!("could not remove {}", path.display()))?;
    }
    for (name, text) in authorities(config)? {
        files::write(&layout.etc().join(name), &text, 0o644)?;
    }
    files::keep_private(&folder, &account(&config.name)).await
}

/// What was brought once and is named no longer.
fn unwanted(config: &Config, layout: &Layout) -> Result<Vec<PathBuf>> {
    let wanted = brought(config)?;
    let gone = BROUGHT
        .into_iter()
        .filter(|name| wanted.iter().all(|(wanted, _)| wanted != name));
    let paths = gone.map(|name| layout.secrets().join(name));
    Ok(paths.filter(|path| path.exists()).collect())
}

/// Removes the passwords of accounts; what is missing is made anew.
pub(crate) fn forget_accounts(layout: &Layout) -> Result<()> {
    for name in accounts::names() {
        let path = layout.secrets().join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("could not remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// With what this command acts as the first admin, from this host only.
pub(crate) fn host_token(layout: &Layout) -> Result<String> {
    let path = layout.secrets().join(HOST_TOKEN);
    let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    Ok(text.trim().to_owned())
}

/// The first admin's one-time password, while it has not been used.
pub(crate) fn first_password(layout: &Layout) -> Option<String> {
    let text = std::fs::read_to_string(layout.secrets().join(FIRST_PASSWORD)).ok()?;
    Some(text.trim().to_owned()).filter(|password| !password.is_empty())
}

/// Removes it.
pub(crate) fn forget_first_password(layout: &Layout) -> Result<()> {
    let path = layout.secrets().join(FIRST_PASSWORD);
    std::fs::remove_file(&path).with_context(|| format!("could not remove {}", path.display()))
}

fn file_name(name: SecretName) -> &'static str {
    match name {
        SecretName::SmtpPassword => SMTP_PASSWORD,
        SecretName::KafkaPassword => KAFKA_PASSWORD,
        SecretName::MongodbPassword => MONGODB_PASSWORD,
    }
}

fn wanted(name: SecretName, reference: &SecretReference) -> Result<String> {
    let file = file_name(name);
    let value = match reference {
        SecretReference::File(path) => std::fs::read_to_string(path)
            .with_context(|| format!("could not read the secret `{file}` from {}", path.display()))?,
        SecretReference::Env(variable) => std::env::var(variable)
            .with_context(|| format!("the secret `{file}` is to be in the variable {variable}"))?,
    };
    Ok(value.trim().to_owned())
}

/// Whether a service shows the certificate for people and devices.
pub(crate) fn shows_certificate(service: &str) -> bool {
    ["application-manager", "sensor-manager"].contains(&service)
}

/// The secrets that an admin brings, by the name of their file.
pub(crate) fn brought(config: &Config) -> Result<Vec<(&'static str, String)>> {
    let secrets = config.secrets.iter();
    let mut all = secrets
        .map(|(name, reference)| Ok((file_name(*name), wanted(*name, reference)?)))
        .collect::<Result<Vec<_>>>()?;
    if let Some(tls) = &config.tls {
        let read = |path: &Path| {
            std::fs::read_to_string(path).with_context(|| format!("could not read {}, named in `tls`", path.display()))
        };
        let (key, chain) = (read(&tls.key)?, read(&tls.certificate)?);
        belong_together(&key, &chain).context("`tls.key` and `tls.certificate` cannot be used")?;
        all.push((PUBLIC_CERTIFICATE, format!("{}\n{}\n", key.trim(), chain.trim())));
    }
    Ok(all)
}

/// Whether a server can use them: an encrypted key, or one of another certificate, would keep services from starting.
fn belong_together(key: &str, chain: &str) -> Result<()> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain.as_bytes())
        .collect::<Result<_, _>>()
        .context("the certificate is not PEM")?;
    anyhow::ensure!(!chain.is_empty(), "there is no certificate in PEM");
    let key =
        PrivateKeyDer::from_pem_slice(key.as_bytes()).context("there is no private key in PEM without a passphrase")?;
    let provider = tokio_rustls::rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, key, &provider)
        .and_then(|both| both.keys_match())
        .context("the key is not that of the first certificate")
}

/// The certificates of authorities that an admin brings, by the name of their file among the settings.
pub(crate) fn authorities(config: &Config) -> Result<Vec<(&'static str, String)>> {
    let named = [(KAFKA_CA, &config.kafka.ca), (MONGODB_CA, &config.mongodb.ca)];
    named
        .into_iter()
        .filter_map(|(name, path)| Some((name, path.as_ref()?)))
        .map(|(name, path)| {
            let text = std::fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
            Ok((name, text))
        })
        .collect()
}

/// 256 random bits.
pub(crate) fn random_key() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

/// Twenty letters and digits in groups, none that look alike: about 98 bits.
pub(crate) fn readable_password() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789x";
    let letters: Vec<char> = rand::random::<[u8; 20]>()
        .iter()
        .filter_map(|byte| LETTERS.get(usize::from(byte % 32)).map(|letter| char::from(*letter)))
        .collect();
    letters
        .chunks(5)
        .map(|group| group.iter().collect::<String>())
        .collect::<Vec<_>>()
        .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_and_its_key_belong_together() {
        let one = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
        let (key, certificate) = (one.signing_key.serialize_pem(), one.cert.pem());
        assert!(belong_together(&key, &certificate).is_ok());
        assert!(belong_together(&other.signing_key.serialize_pem(), &certificate).is_err());
        assert!(belong_together(&certificate, &key).is_err());
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert!(belong_together(encrypted, &certificate).is_err());
    }

    #[test]
    fn what_is_named_no_longer_goes() {
        let folder = tempfile::tempdir().unwrap();
        let (mut config, layout) = (Config::default(), Layout::new(folder.path(), Path::new("/src")));
        std::fs::create_dir_all(layout.secrets()).unwrap();
        for name in [SMTP_PASSWORD, PUBLIC_CERTIFICATE, TOKEN_KEY] {
            std::fs::write(layout.secrets().join(name), "x").unwrap();
        }
        let path = folder.path().join("mail");
        std::fs::write(&path, "x").unwrap();
        config
            .secrets
            .insert(SecretName::SmtpPassword, SecretReference::File(path));
        assert_eq!(
            unwanted(&config, &layout).unwrap(),
            [layout.secrets().join(PUBLIC_CERTIFICATE)]
        );
    }

    #[test]
    fn passwords_are_long_and_differ() {
        let (one, two) = (readable_password(), readable_password());
        assert_eq!(one.len(), 23);
        assert_ne!(one, two);
    }
}
