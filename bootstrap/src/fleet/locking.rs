//! Two commands do not change one host at once: who has it, and when that does not count any more.

use std::sync::Arc;

use futures_util::future::join_all;
use hosts::{Access, Remote, lock};
use tokio::task::JoinHandle;

use super::connection::Problem;
use crate::failure::Exit;

/// The locks of all hosts, renewed until they are given back.
pub(super) struct Locks {
    installation: String,
    owner: String,
    hosts: Vec<Arc<Remote>>,
    renewing: JoinHandle<()>,
}

impl Locks {
    /// Takes all of them, or none where somebody else has one. What else went wrong on a host comes with the locks, by host.
    pub(super) async fn take(
        installation: &str,
        hosts: Vec<Arc<Remote>>,
    ) -> Result<(Self, Vec<Result<(), Problem>>), Vec<Problem>> {
        let (name, owner) = (installation.to_owned(), owner());
        let taken = join_all(hosts.iter().map(|host| take(&**host, &name, &owner))).await;
        let renewing = tokio::spawn(renew(name.clone(), owner.clone(), hosts.clone()));
        let locks = Self {
            installation: name,
            owner,
            hosts,
            renewing,
        };
        let held = |taken: &Result<(), Problem>| taken.as_ref().is_err_and(|problem| problem.exit == Exit::Locked);
        if !taken.iter().any(held) {
            return Ok((locks, taken));
        }
        locks.release().await;
        Err(taken.into_iter().filter_map(Result::err).collect())
    }

    /// Gives them back.
    pub(super) async fn release(self) {
        self.renewing.abort();
        // A lock that cannot be given back ends by itself.
        drop(
            join_all(
                self.hosts
                    .iter()
                    .map(|host| lock::release(&**host, &self.installation, &self.owner)),
            )
            .await,
        );
    }
}

async fn renew(name: String, owner: String, hosts: Vec<Arc<Remote>>) {
    loop {
        tokio::time::sleep(lock::RENEWAL).await;
        // One that fails shows in whatever is being done there.
        drop(join_all(hosts.iter().map(|host| lock::take(&**host, &name, &owner, None))).await);
    }
}

/// Who we are, for somebody who finds a host locked.
fn owner() -> String {
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
async fn take(access: &dyn Access, installation: &str, owner: &str) -> Result<(), Problem> {
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
