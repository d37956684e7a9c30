//! Where everything lies.

use std::path::{Path, PathBuf};

/// Paths of one installation, and of what installations on a machine share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    data_dir: PathBuf,
    workspace: PathBuf,
}

impl Layout {
    /// The layout of an installation that is built from a workspace.
    #[must_use]
    pub fn new(data_dir: &Path, workspace: &Path) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            workspace: workspace.to_owned(),
        }
    }

    /// Everything of the installation.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The source tree.
    #[must_use]
    pub fn workspace(&self) -> &Path {
        &self.workspace
    }

    /// Says that the folder belongs to an installation, and to which.
    #[must_use]
    pub fn marker(&self) -> PathBuf {
        self.data_dir.join("installation")
    }

    /// Rendered settings.
    #[must_use]
    pub fn etc(&self) -> PathBuf {
        self.data_dir.join("etc")
    }

    /// What every service reads.
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.etc().join("settings.json")
    }

    /// What was chosen once for this host.
    #[must_use]
    pub fn choices(&self) -> PathBuf {
        self.etc().join("choices.json")
    }

    /// Says that the database comes from a backup.
    #[must_use]
    pub fn restored(&self) -> PathBuf {
        self.etc().join("restored")
    }

    /// One file per secret.
    #[must_use]
    pub fn secrets(&self) -> PathBuf {
        self.data_dir.join("secrets")
    }

    /// Log of a program or a step.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    /// Logs.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.data_dir.join("logs")
    }

    /// Sockets.
    #[must_use]
    pub fn run(&self, program: &str) -> PathBuf {
        self.data_dir.join("run").join(program)
    }

    /// The supervisor of this installation.
    #[must_use]
    pub fn supervisor(&self) -> PathBuf {
        self.data_dir.join("supervisor")
    }

    /// Installed programs, one folder per content.
    #[must_use]
    pub fn releases(&self) -> PathBuf {
        self.data_dir.join("releases")
    }

    /// The programs in use.
    #[must_use]
    pub fn current(&self) -> PathBuf {
        self.releases().join("current")
    }

    /// The Python SDK that goes into images.
    #[must_use]
    pub fn sdk(&self) -> PathBuf {
        self.data_dir.join("sdk")
    }

    /// A piece of infrastructure.
    #[must_use]
    pub fn part(&self, name: &str) -> PathBuf {
        self.data_dir.join(name)
    }

    /// The console's sources.
    #[must_use]
    pub fn console(&self) -> PathBuf {
        self.workspace.join("crates/application-manager/console")
    }

    /// Files that land on a host.
    #[must_use]
    pub fn deploy(&self) -> PathBuf {
        self.workspace.join("deploy")
    }

    /// What installations of this machine share: the Engine's supervisor.
    #[must_use]
    pub fn machine() -> PathBuf {
        PathBuf::from("/var/lib/iot-platform")
    }

    /// What can be fetched or built again.
    #[must_use]
    pub fn cache() -> PathBuf {
        // Hosts are reached over SSH from machines on which nobody is root.
        match std::env::var_os("HOME") {
            Some(home) if !crate::preflight::is_root() => PathBuf::from(home).join(".cache/iot-platform"),
            _ => PathBuf::from("/var/cache/iot-platform"),
        }
    }
}

/// Account that runs what needs no privilege.
#[must_use]
pub(crate) fn account(name: &str) -> String {
    format!("{name}-platform")
}
