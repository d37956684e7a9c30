//! Secrets of an installation on many hosts: they live on the hosts, not on the admin's machine.

use std::collections::BTreeMap;

use anyhow::Result;
use common::config::Config;

use crate::files;
use crate::secrets::{self, FIRST_PASSWORD, HOST_TOKEN, TOKEN_KEY};

/// Secrets by the name of their file.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Secrets(BTreeMap<String, String>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A script that prints what a host has.
pub(super) fn script(data_dir: &str) -> String {
    format!(
        "cd {data_dir}/secrets 2>/dev/null || exit 0\nfor name in {TOKEN_KEY} {HOST_TOKEN} {FIRST_PASSWORD}; do [ -s $name ] && echo \"$name $(cat $name)\"; done; exit 0"
    )
}

impl Secrets {
    /// Takes over what a host said. Tells whether it agrees with what other hosts said before.
    pub(super) fn learn(&mut self, said: &str) -> bool {
        let mut agrees = true;
        for (name, value) in said.lines().filter_map(|line| line.split_once(' ')) {
            let known = self.0.entry(name.to_owned()).or_insert_with(|| value.to_owned());
            agrees &= name != TOKEN_KEY || known == value;
        }
        agrees
    }

    /// Whether the installation has its key: then nothing may be made up any more.
    pub(super) fn known(&self) -> bool {
        self.0.contains_key(TOKEN_KEY)
    }

    /// Makes what is missing. The first admin's password is made with the key only: once used it is gone for good.
    pub(super) fn complete(&mut self, config: &Config) -> Result<()> {
        if !self.0.contains_key(TOKEN_KEY) {
            self.0.insert(TOKEN_KEY.to_owned(), secrets::random_key());
            self.0.insert(FIRST_PASSWORD.to_owned(), secrets::readable_password());
        }
        self.0.entry(HOST_TOKEN.to_owned()).or_insert_with(secrets::random_key);
        for (name, value) in secrets::brought(config)? {
            self.0.insert(name.to_owned(), value);
        }
        Ok(())
    }

    /// The first admin's one-time password, while it is there.
    pub(super) fn first_password(&self) -> Option<&str> {
        self.0.get(FIRST_PASSWORD).map(String::as_str)
    }

    /// The files of a host; only the one with the console has the first admin's password.
    pub(super) fn files(&self, console: bool) -> BTreeMap<String, String> {
        let mut files = self.0.clone();
        if !console {
            files.remove(FIRST_PASSWORD);
        }
        files
    }

    /// Changes when a secret does that services read at their start.
    pub(super) fn fingerprint(&self) -> String {
        let lasting = self.0.iter().filter(|(name, _)| *name != FIRST_PASSWORD);
        let parts: Vec<&[u8]> = lasting
            .flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()])
            .collect();
        files::fingerprint(&parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hosts_have_is_kept() {
        let mut secrets = Secrets::default();
        assert!(secrets.learn("token.key aa\nhost.token bb\n"));
        assert!(!secrets.learn("token.key other\n"), "two installations in one");
        let before = secrets.fingerprint();
        secrets.complete(&Config::default()).unwrap();
        assert_eq!(secrets.files(true)["token.key"], "aa");
        assert_eq!(secrets.first_password(), None, "it was used long ago");
        assert_eq!(secrets.fingerprint(), before);
        assert_eq!(format!("{secrets:?}"), r#"{"host.token", "token.key"}"#);
    }

    #[test]
    fn a_new_installation_gets_all_and_only_the_console_knows_the_password() {
        let mut secrets = Secrets::default();
        secrets.complete(&Config::default()).unwrap();
        assert!(secrets.first_password().is_some());
        assert_eq!(secrets.files(true).len(), 3);
        assert_eq!(secrets.files(false).len(), 2);
    }
}
