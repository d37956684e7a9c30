//! Why a command ended without success, in the form that is shown to the admin.

use std::fmt;
use std::path::PathBuf;

/// Exit codes of the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// A step failed; its message says how to resume.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// `config.json` is wrong.
    Config = 3,
    /// A host cannot be reached, or does not let us in.
    Unreachable = 4,
    /// The key of a host is not the one that is known.
    HostKey = 5,
    /// The machine does not allow it; nothing was started.
    Preflight = 6,
    /// Something is not running or not ready.
    Unhealthy = 7,
    /// Another command is changing a host.
    Locked = 8,
    /// There is something to do; with `plan --detailed-exitcode` only.
    Changes = 9,
}

/// A failed command.
#[derive(Debug)]
pub struct Failure {
    /// Exit code.
    pub exit: Exit,
    /// The step that failed.
    pub step: Option<&'static str>,
    /// What happened.
    pub message: String,
    /// Likely cause and what to do.
    pub advice: Option<&'static str>,
    /// Log of the step with its last lines.
    pub log: Option<Box<(PathBuf, Vec<String>)>>,
    /// Command that continues.
    pub resume: Option<String>,
}

impl Failure {
    /// A failure with nothing but a message.
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            step: None,
            message: message.into(),
            advice: None,
            log: None,
            resume: None,
        }
    }
}

impl Failure {
    /// The same for programs.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "event": "failed", "exit": self.exit as u8, "step": self.step, "text": self.message, "advice": self.advice, "resume": self.resume,
        })
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Exit::Failed, format!("{error:#}"))
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.step {
            Some(step) => writeln!(f, "failed: {step}\n  {}", self.message)?,
            None => writeln!(f, "{}", self.message)?,
        }
        if let Some((path, lines)) = self.log.as_deref() {
            writeln!(f, "last lines of {}:", path.display())?;
            for line in lines {
                writeln!(f, "  | {line}")?;
            }
        }
        if let Some(advice) = &self.advice {
            writeln!(f, "likely cause: {advice}")?;
        }
        if let Some(resume) = &self.resume {
            writeln!(f, "resume with: {resume}")?;
        }
        Ok(())
    }
}
