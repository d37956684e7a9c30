//! What a caller chooses that is not in `config.json`.

use std::path::{Path, PathBuf};

/// How the services are compiled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Profile {
    /// Optimised.
    #[default]
    Release,
    /// Quick to build; for tests.
    Debug,
}

/// What is brought up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    #[default]
    All,
    /// Everything but the six services and the node agent, for working on one of them.
    Infrastructure,
}

/// Where the programs of the services come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Programs {
    /// They are compiled here.
    #[default]
    Compiled,
    /// Somebody has compiled them and put them into a folder.
    Folder(PathBuf),
    /// An earlier release that was kept: of that name, or the one before the one in use.
    Kept(Option<String>),
}

/// What a caller chooses that is not in `config.json`.
#[derive(Debug, Clone)]
pub struct Options {
    /// The source tree to build from.
    pub workspace: PathBuf,
    /// How services are compiled.
    pub profile: Profile,
    /// Where their programs come from.
    pub programs: Programs,
    /// Whether to build the console when it is stale.
    pub console: bool,
    /// What is brought up.
    pub scope: Scope,
    /// Whether a simulated building and sample applications are added.
    pub demo: bool,
    /// Whether all accounts get new passwords, and all hosts new certificates.
    pub rotate: bool,
    /// For how many hosts something is done at once.
    pub at_once: usize,
    /// Whether somebody may be asked.
    pub input: bool,
    /// How the command is called again, for messages.
    pub invocation: String,
    /// The verb and its arguments by which the same is done again, for messages.
    pub verb: String,
}

impl Default for Options {
    fn default() -> Self {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .unwrap_or(Path::new("."))
            .to_owned();
        Self {
            workspace,
            profile: Profile::Release,
            programs: Programs::Compiled,
            console: true,
            scope: Scope::All,
            demo: false,
            rotate: false,
            at_once: usize::MAX,
            input: true,
            invocation: "cargo run --release -p bootstrap --".to_owned(),
            verb: "up".to_owned(),
        }
    }
}
