//! Secrets of an installation: made once, one file each, for its account only.

use anyhow::{Context as _, Result};
use common::config::{Config, SecretName, SecretReference};

use crate::files;
use crate::layout::{Layout, account};

pub(crate) const TOKEN_KEY: &str = "token.key";
pub(crate) const FIRST_PASSWORD: &str = "first-admin.password";
pub(crate) const HOST_TOKEN: &str = "host.token";

/// Whether every secret is there.
pub(crate) fn present(config: &Config, layout: &Layout) -> bool {
    let brought = config.secrets.keys().all(|name| {
        wanted(config, *name).is_ok_and(|value| files::holds(&layout.secrets().join(file_name(*name)), &value))
    });
    let made = [TOKEN_KEY, HOST_TOKEN]
        .iter()
        .all(|name| layout.secrets().join(name).exists());
    made && brought
}

/// Makes what is missing. The first admin's password is made with the key only: once used it is gone for good.
pub(crate) async fn make(config: &Config, layout: &Layout) -> Result<()> {
    let folder = layout.secrets();
    files::create_dir(&folder)?;
    if !folder.join(TOKEN_KEY).exists() {
        files::write(&folder.join(FIRST_PASSWORD), &readable_password(), 0o600)?;
        files::write(&folder.join(TOKEN_KEY), &random_key(), 0o600)?;
    }
    if !folder.join(HOST_TOKEN).exists() {
        files::write(&folder.join(HOST_TOKEN), &random_key(), 0o600)?;
    }
    for name in config.secrets.keys() {
        files::write(&folder.join(file_name(*name)), &wanted(config, *name)?, 0o600)?;
    }
    files::keep_private(&folder, &account(&config.name)).await
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
        SecretName::SmtpPassword => "smtp.password",
    }
}

fn wanted(config: &Config, name: SecretName) -> Result<String> {
    let reference = config.secrets.get(&name).context("no such secret")?;
    let value = match reference {
        SecretReference::File(path) => std::fs::read_to_string(path).with_context(|| {
            format!(
                "could not read the secret `{}` from {}",
                file_name(name),
                path.display()
            )
        })?,
        SecretReference::Env(variable) => std::env::var(variable)
            .with_context(|| format!("the secret `{}` is to be in the variable {variable}", file_name(name)))?,
    };
    Ok(value.trim().to_owned())
}

/// The secrets that an admin brings, by the name of their file.
pub(crate) fn brought(config: &Config) -> Result<Vec<(&'static str, String)>> {
    let names = config.secrets.keys();
    names
        .map(|name| Ok((file_name(*name), wanted(config, *name)?)))
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
    fn passwords_are_long_and_differ() {
        let (one, two) = (readable_password(), readable_password());
        assert_eq!(one.len(), 23);
        assert_ne!(one, two);
    }
}
