//! Two commands do not change one host at once: who has it, and when that does not count any more.

use hosts::{Access, lock};

use super::connection::Problem;
use crate::failure::Exit;

/// Who we are, for somebody who finds a host locked.
pub(super) fn owner() -> String {
    format!("{} (process {})", user_and_machine(), std::process::id())
}

fn user_and_machine() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned());
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{user}@{}", machine.trim())
}

/// Whether the owner of a lock was a command of ours, on this machine, that does not run any more.
fn is_gone(owner: &str) -> bool {
    let process = owner
        .strip_prefix(&user_and_machine())
        .and_then(|rest| rest.strip_prefix(" (process ")?.strip_suffix(')')?.parse::<u32>().ok());
    process.is_some_and(|process| !std::path::Path::new(&format!("/proc/{process}")).exists())
}

/// Takes the lock on a host, also from a command of ours that was killed, or says who has it.
pub(super) async fn take(access: &dyn Access, installation: &str, owner: &str) -> Result<(), Problem> {
    let mut held = lock::take(access, installation, owner, None).await?;
    if let lock::Lock::Held { owner: other, .. } = &held
        && is_gone(other)
    {
        held = lock::take(access, installation, owner, Some(other)).await?;
    }
    match held {
        lock::Lock::Taken => Ok(()),
        lock::Lock::Held { owner, age } => Err(Problem {
            exit: Exit::Locked,
            message: format!(
                "{}: {owner} is changing it (last word {age} s ago); wait until that command ends",
                access.host()
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_own_command_that_is_gone_is_gone() {
        assert!(!is_gone(&owner()), "this one runs");
        assert!(
            is_gone(&format!("{} (process 4194305)", user_and_machine())),
            "beyond the largest process id"
        );
        assert!(!is_gone("ann@desk (process 4194305)"));
        assert!(!is_gone(""));
    }
}
