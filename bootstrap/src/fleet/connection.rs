//! Every host at once: signing in, and what came of it.

use std::sync::Arc;

use hosts::ssh::{Session, SshError};
use hosts::{AccessError, Remote};

use super::inventory::Inventory;
use crate::failure::{Exit, Failure};

/// What went wrong on a host.
#[derive(Debug)]
pub(super) struct Problem {
    /// What a script that calls this command shall know.
    pub(super) exit: Exit,
    /// What a person shall know.
    pub(super) message: String,
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        Self {
            exit: exit(&error),
            message: error.to_string(),
        }
    }
}

fn exit(error: &AccessError) -> Exit {
    match error {
        AccessError::Ssh(SshError::HostKeyUnknown { .. } | SshError::HostKeyChanged { .. }) => Exit::HostKey,
        AccessError::Ssh(SshError::DiskFull { .. } | SshError::Checksum { .. }) => Exit::Failed,
        AccessError::Ssh(_) | AccessError::Sudo { .. } => Exit::Unreachable,
        AccessError::DiskFull { .. } | AccessError::Failed { .. } => Exit::Failed,
    }
}

/// Signs in to every host at once; one that is away does not hold up the others.
pub(super) async fn connect(inventory: &Inventory) -> Vec<Result<Arc<Remote>, Problem>> {
    let all = (0..inventory.machines.len()).map(async |index| {
        let Some(target) = inventory.target(index) else {
            return Err(Problem {
                exit: Exit::Config,
                message: format!("hosts[{index}] is not there"),
            });
        };
        let session = Session::connect(&target).await.map_err(AccessError::from)?;
        Ok(Arc::new(Remote::new(session, &target.name, &target.user)))
    });
    inventory.each(all).await
}

/// All problems as one failure; the gravest decides how the command ends.
pub(super) fn failure(problems: Vec<Problem>, resume: &str) -> Failure {
    let gravity = |exit: Exit| match exit {
        Exit::HostKey => 4,
        Exit::Locked => 3,
        Exit::Unreachable => 2,
        Exit::Preflight => 1,
        _ => 0,
    };
    let exit = problems
        .iter()
        .map(|problem| problem.exit)
        .max_by_key(|exit| gravity(*exit))
        .unwrap_or(Exit::Failed);
    let lines: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
    let mut failure = Failure::new(exit, lines.join("\n"));
    failure.resume = Some(resume.to_owned());
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_problem_decides() {
        let problem = |exit| Problem {
            exit,
            message: format!("{exit:?}"),
        };
        let failure = failure(
            vec![
                problem(Exit::Failed),
                problem(Exit::HostKey),
                problem(Exit::Unreachable),
            ],
            "up",
        );
        assert_eq!(failure.exit, Exit::HostKey);
        assert_eq!(failure.message, "Failed\nHostKey\nUnreachable");
    }
}
