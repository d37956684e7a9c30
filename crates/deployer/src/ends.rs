//! Why a container ended, in words. Pure.

use crate::docker::{TaskSeen, TaskState};

/// What an end says about the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It ended by itself with this exit code, or by its own fault.
    Itself,
    /// It never ran, or someone or something else ended it: another try is worth it.
    Others,
}

/// Whether a task ended without being asked to.
pub(crate) fn unexpected(task: &TaskSeen) -> bool {
    matches!(
        task.state,
        TaskState::Complete | TaskState::Failed | TaskState::Rejected | TaskState::Orphaned
    )
}

/// Who is to blame.
pub(crate) fn cause(task: &TaskSeen) -> Cause {
    match task.state {
        TaskState::Complete => Cause::Itself,
        TaskState::Failed => match (task.exit_code, task.out_of_memory) {
            (_, Some(true)) => Cause::Itself,
            // Killed from outside: by hand, or by an Engine that went down.
            // Whether memory was the reason only the task's own host knows; it is tried again, a few times.
            (Some(137), Some(false) | None) | (None, _) => Cause::Others,
            (Some(_), _) => Cause::Itself,
        },
        _ => Cause::Others,
    }
}

/// Why it ended, for people.
pub(crate) fn describe(task: &TaskSeen, memory_mib: u64) -> String {
    let said = task.error.as_deref().unwrap_or("the Engine did not say why");
    match task.state {
        TaskState::Rejected => format!("it could not be started: {said}"),
        TaskState::Orphaned => "its host was lost".to_owned(),
        _ if task.out_of_memory == Some(true) => format!("it needed more than its {memory_mib} MiB of memory"),
        _ => match task.exit_code {
            Some(0) => "it ended by itself (exit code 0); a service is to run until it is stopped".to_owned(),
            Some(137) if task.out_of_memory.is_none() => {
                format!(
                    "it was killed (exit code 137), perhaps because it needed more than its {memory_mib} MiB of memory"
                )
            }
            Some(137) => "it was killed from outside (exit code 137)".to_owned(),
            Some(75) => "a newer copy took over its session (exit code 75)".to_owned(),
            Some(code) => format!("it ended with exit code {code}"),
            None => said.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::tests::task;

    #[test]
    fn ends_in_words() {
        let cases = [
            (
                TaskState::Rejected,
                None,
                None,
                Cause::Others,
                "it could not be started: no such image",
            ),
            (TaskState::Orphaned, None, None, Cause::Others, "its host was lost"),
            (
                TaskState::Failed,
                Some(137),
                Some(true),
                Cause::Itself,
                "it needed more than its 64 MiB of memory",
            ),
            (
                TaskState::Failed,
                Some(137),
                Some(false),
                Cause::Others,
                "it was killed from outside (exit code 137)",
            ),
            (
                TaskState::Failed,
                Some(3),
                Some(false),
                Cause::Itself,
                "it ended with exit code 3",
            ),
            (TaskState::Failed, None, None, Cause::Others, "no such image"),
        ];
        for (state, exit_code, out_of_memory, blame, text) in cases {
            let task = TaskSeen {
                exit_code,
                out_of_memory,
                error: Some("no such image".to_owned()),
                ..task("t", state)
            };
            assert_eq!(describe(&task, 64), text);
            assert_eq!(cause(&task), blame, "{text}");
            assert!(unexpected(&task));
        }
        for state in [
            TaskState::Running,
            TaskState::Pending,
            TaskState::Starting,
            TaskState::Shutdown,
        ] {
            assert!(!unexpected(&task("t", state)), "{state:?}");
        }
    }
}
