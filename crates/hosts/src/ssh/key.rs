//! Private keys in files.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use russh::keys::key::safe_rng;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, Error, PrivateKey, decode_secret_key};

use super::error::KeyProblem;
use super::target::Passphrase;

/// Largest file that is taken for a key, so that a wrong path does not fill the memory.
const LARGEST: u64 = 64 * 1024;

/// Reads a private key that nobody but its owner may read.
pub(super) fn load(path: &Path, passphrase: Option<&Passphrase>) -> Result<PrivateKey, KeyProblem> {
    let text = read(path)?;
    match decode_secret_key(&text, None) {
        Ok(key) => return Ok(key),
        Err(Error::KeyIsEncrypted) => {}
        Err(error) if !is_encrypted(&text) => return Err(foreign(&text, &error)),
        Err(_) => {}
    }
    let passphrase = passphrase.ok_or(KeyProblem::NeedsPassphrase)?;
    decode_secret_key(&text, Some(passphrase.text())).map_err(|_| KeyProblem::WrongPassphrase)
}

/// Makes a key: its private half as OpenSSH writes it, and the line with its public half.
///
/// # Errors
/// When it cannot be written as text.
pub fn make_key(comment: &str) -> Result<(String, String), KeyProblem> {
    let unusable = |error: russh::keys::ssh_key::Error| KeyProblem::NotAKey(error.to_string());
    let mut key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).map_err(unusable)?;
    key.set_comment(comment);
    let private = key.to_openssh(LineEnding::LF).map_err(unusable)?;
    let public = key.public_key().to_openssh().map_err(unusable)?;
    Ok((private.to_string(), public))
}

/// Returns the line with the public half of a private key's text.
///
/// # Errors
/// When the text is no key that needs no passphrase.
pub fn public_line(private: &str) -> Result<String, KeyProblem> {
    let key = decode_secret_key(private, None).map_err(|error| foreign(private, &error))?;
    let line = key.public_key().to_openssh();
    line.map_err(|error| KeyProblem::NotAKey(error.to_string()))
}

/// Whether a private key is opened by a passphrase only. A file that is no usable key is not.
#[must_use]
pub fn needs_passphrase(path: &Path) -> bool {
    matches!(load(path, None), Err(KeyProblem::NeedsPassphrase))
}

/// Formats that say it only in words, so that the decoder finds just nonsense.
fn is_encrypted(text: &str) -> bool {
    text.contains("ENCRYPTED PRIVATE KEY")
        || (text.contains("PuTTY-User-Key-File-") && !text.contains("Encryption: none"))
}

/// The text of the file. Mode and content are taken from the same open file, so that they cannot be exchanged in between.
fn read(path: &Path) -> Result<String, KeyProblem> {
    let unreadable = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => KeyProblem::Missing,
        ErrorKind::InvalidData => KeyProblem::NotAKey("it is no text".to_owned()),
        _ => KeyProblem::Unreadable(error.to_string()),
    };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(KeyProblem::NotAKey("it is no file".to_owned()));
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyProblem::Permissions(mode));
    }
    let mut text = String::new();
    file.take(LARGEST).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

fn foreign(text: &str, error: &Error) -> KeyProblem {
    let reason = if text.starts_with("ssh-") || text.starts_with("ecdsa-") {
        "it is the public half, name the file without `.pub`".to_owned()
    } else {
        error.to_string()
    };
    KeyProblem::NotAKey(reason)
}
