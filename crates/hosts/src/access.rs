//! What is needed of a host to look at it and to change it.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;

use crate::ssh::{Output, Session, Source, SshError, Take};

/// What a command said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Exit status; none when a signal ended it.
    pub status: Option<u32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Answer {
    fn of(output: &Output) -> Self {
        Self {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Whether it ended well.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.status == Some(0)
    }

    /// The last lines of what it complained of, or else of what it said.
    #[must_use]
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        let text = if self.stderr.trim().is_empty() {
            &self.stdout
        } else {
            &self.stderr
        };
        last_lines(text, count)
    }
}

/// The last lines of a text that are not blank.
#[must_use]
pub fn last_lines(text: &str, count: usize) -> Vec<String> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(count);
    lines.iter().skip(from).map(|line| (*line).to_owned()).collect()
}

/// Why a host could not be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The way to it.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// The user may not become root.
    #[error(
        "{host}: `{user}` may not use sudo without a password ({reason}); allow it in /etc/sudoers.d, or name another user in config.json"
    )]
    Sudo {
        /// The host.
        host: String,
        /// The user.
        user: String,
        /// What sudo said.
        reason: String,
    },
    /// No room.
    #[error("{host}: the disk is full ({reason}); free some space there and run the command again")]
    DiskFull {
        /// The host.
        host: String,
        /// What the command said.
        reason: String,
    },
    /// A command failed.
    #[error("{host}: {what} failed: {}", .lines.join(" / "))]
    Failed {
        /// The host.
        host: String,
        /// What was to be made so.
        what: String,
        /// Last lines of what the host said.
        lines: Vec<String>,
    },
}

/// A host on which commands run as root.
#[async_trait]
pub trait Access: Send + Sync {
    /// Its name, for messages.
    fn host(&self) -> &str;

    /// Runs a shell script as root. The script is given on standard input, so that it shows in no list of processes.
    ///
    /// # Errors
    /// When the host does not answer within the time, or the user may not become root. A script that fails is an answer.
    async fn root(&self, script: &str, limit: Duration) -> Result<Answer, AccessError>;

    /// Brings a file into a folder of the user's own and returns its path there. One that is there already is not sent again.
    ///
    /// # Errors
    /// When the way breaks, or what arrived is not what was sent.
    async fn stage(&self, file: &Path, sha256: &str) -> Result<String, AccessError>;
}

/// Gives a shell of root its script. `root` itself needs no sudo, and a minimal system has none.
const AS_ROOT: &str = "if [ \"$(id -u)\" = 0 ]; then exec bash -s; else exec sudo -n bash -s; fi";

/// A host over SSH.
#[derive(Debug)]
pub struct Remote {
    session: Session,
    name: String,
    user: String,
}

/// Folder in which uploads wait, in the home of the user.
const STAGE: &str = ".cache/iot-platform";

impl Remote {
    /// Takes a session.
    #[must_use]
    pub fn new(session: Session, name: &str, user: &str) -> Self {
        Self {
            session,
            name: name.to_owned(),
            user: user.to_owned(),
        }
    }

    async fn answer(&self, command: &str, input: &[u8], limit: Duration) -> Result<Answer, AccessError> {
        Ok(Answer::of(&self.session.run(command, input, limit).await?))
    }

    /// As [`Access::root`], for a script that says much or does not end by itself: `take` gets its standard output as it comes.
    ///
    /// # Errors
    /// Those of [`Access::root`], and when `take` fails.
    pub async fn root_taking(&self, script: &str, limit: Duration, take: Take<'_>) -> Result<Answer, AccessError> {
        let output = self.session.run_taking(AS_ROOT, script.as_bytes(), limit, take).await?;
        self.allowed(Answer::of(&output))
    }

    /// An answer, unless it is that of `sudo`.
    fn allowed(&self, answer: Answer) -> Result<Answer, AccessError> {
        // Only these: in many clouds sudo also complains of the host's name, and goes on.
        let refusals = [
            "a password is required",
            "not in the sudoers",
            "not allowed to",
            "no tty present",
        ];
        let refused = |line: &str| line.starts_with("sudo:") && refusals.iter().any(|words| line.contains(words));
        if !answer.succeeded() && answer.stderr.lines().any(refused) {
            return Err(AccessError::Sudo {
                host: self.name.clone(),
                user: self.user.clone(),
                reason: answer.last_lines(1).join(" "),
            });
        }
        Ok(answer)
    }

    /// Ends the session.
    pub async fn close(self) {
        self.session.close().await;
    }
}

#[async_trait]
impl Access for Remote {
    fn host(&self) -> &str {
        &self.name
    }

    async fn root(&self, script: &str, limit: Duration) -> Result<Answer, AccessError> {
        self.allowed(self.answer(AS_ROOT, script.as_bytes(), limit).await?)
    }

    async fn stage(&self, file: &Path, sha256: &str) -> Result<String, AccessError> {
        let limit = Duration::from_secs(120);
        let script = format!(
            "umask 077; mkdir -p {STAGE} && cd {STAGE} && pwd && echo '{sha256}  {sha256}' | sha256sum -c >/dev/null 2>&1 && echo there"
        );
        let answer = self.answer(&script, b"", limit).await?;
        let mut lines = answer.stdout.lines();
        let Some(folder) = lines.next() else {
            return Err(failed(&self.name, "a folder for uploads", &answer));
        };
        let path = format!("{folder}/{sha256}");
        if lines.next() != Some("there") {
            self.session.upload(Source::File(file), sha256, &path).await?;
        }
        Ok(path)
    }
}

/// The error for a script that ended badly.
pub(crate) fn failed(host: &str, what: &str, answer: &Answer) -> AccessError {
    let lines = answer.last_lines(20);
    let reason = lines.iter().find(|line| line.contains("No space left on device"));
    match reason {
        Some(reason) => AccessError::DiskFull {
            host: host.to_owned(),
            reason: reason.clone(),
        },
        None => AccessError::Failed {
            host: host.to_owned(),
            what: what.to_owned(),
            lines,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_lines_skips_blank_ones() {
        assert_eq!(last_lines("a\n\nb\nc\n", 2), ["b", "c"]);
        assert!(last_lines("", 2).is_empty());
    }
}
