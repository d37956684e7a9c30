//! What a host shall have.

use std::path::PathBuf;

use crate::packages::Need;
use crate::unit::Unit;

/// Something that a host shall have, and what people call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What people call it, with its place where that helps.
    pub name: String,
    /// What it is.
    pub kind: Kind,
}

impl Item {
    /// An item.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self {
            name: name.into(),
            kind,
        }
    }
}

/// What an item is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Packages of the distribution, by what they bring.
    Packages(Vec<Need>),
    /// An account of the system that nobody signs in to.
    Account {
        /// Its name, and its group's.
        name: String,
    },
    /// A folder.
    Folder {
        /// Where.
        path: String,
        /// Account and group.
        owner: String,
        /// Permissions.
        mode: u32,
    },
    /// A file.
    File {
        /// Where.
        path: String,
        /// Account and group.
        owner: String,
        /// Permissions.
        mode: u32,
        /// What is in it.
        content: Content,
    },
    /// A symbolic link that is switched at once.
    Link {
        /// Where.
        path: String,
        /// What it leads to.
        target: String,
    },
    /// A unit of systemd that runs.
    Unit(Unit),
    /// Anything else that a shell can look for and make so. Both scripts run as root.
    State {
        /// Ends with 0 when it is so.
        check: String,
        /// Makes it so.
        make: String,
        /// What `make` finds in its variable `INPUT`.
        input: Option<Input>,
        /// The file whose path on the host `make` finds in its variable `FILE`.
        file: Option<Upload>,
    },
}

/// What only another host knows; asked for when it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Which host, by its place in the list.
    pub host: usize,
    /// A script that prints it.
    pub script: String,
}

/// A file of this machine, too large for a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Where it is here.
    pub path: PathBuf,
    /// SHA-256 of it, in hex.
    pub sha256: String,
}

/// What is in a file.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// A text that may be shown.
    Text(String),
    /// A text that may not be shown.
    Secret(String),
    /// A file of this machine.
    File(Upload),
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.debug_tuple("Text").field(text).finish(),
            Self::Secret(_) => f.write_str("Secret(***)"),
            Self::File(upload) => f.debug_tuple("File").field(upload).finish(),
        }
    }
}

impl Content {
    /// SHA-256 of it, in hex.
    #[must_use]
    pub fn sha256(&self) -> String {
        match self {
            Self::Text(text) | Self::Secret(text) => sha256(text.as_bytes()),
            Self::File(upload) => upload.sha256.clone(),
        }
    }
}

/// SHA-256 in hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    hex::encode(Sha256::digest(bytes))
}
