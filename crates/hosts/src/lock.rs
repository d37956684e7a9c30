//! Two commands do not change one host at once.

use std::time::Duration;

use crate::access::{Access, AccessError, failed};
use crate::shell::quote;

/// How often whoever holds the lock must say that it is still there.
pub const RENEWAL: Duration = Duration::from_secs(10);
/// After this time without a word the lock is free: the command was killed, or its machine is gone.
const STALE_SECONDS: u32 = 60;
const LIMIT: Duration = Duration::from_secs(20);

/// What came of trying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lock {
    /// It is ours.
    Taken,
    /// Somebody else has it.
    Held {
        /// Who: user, machine and process.
        owner: String,
        /// Seconds since its last word.
        age: u64,
    },
}

/// Takes the lock of an installation on a host, or renews it; also from an owner who is known to be gone.
///
/// # Errors
/// When the host cannot be asked.
pub async fn take(host: &dyn Access, installation: &str, owner: &str, gone: Option<&str>) -> Result<Lock, AccessError> {
    let script = format!(
        "\
file=/run/lock/{installation}-bootstrap.lock
exec 9>> \"$file.guard\" && flock -w 5 9 || exit 1
if [ -s \"$file\" ] && [ \"$(cat \"$file\")\" != {owner} ] && [ \"$(cat \"$file\")\" != {gone} ]; then
  age=$(( $(date +%s) - $(stat -c %Y \"$file\") ))
  if [ \"$age\" -lt {STALE_SECONDS} ]; then echo \"held $age $(cat \"$file\")\"; exit 0; fi
fi
printf %s {owner} > \"$file\" && echo taken
",
        owner = quote(owner),
        gone = quote(gone.unwrap_or_default())
    );
    let answer = host.root(&script, LIMIT).await?;
    read(&answer.stdout).ok_or_else(|| failed(host.host(), "the lock", &answer))
}

fn read(said: &str) -> Option<Lock> {
    if said.trim() == "taken" {
        return Some(Lock::Taken);
    }
    let (age, owner) = said.trim().strip_prefix("held ")?.split_once(' ')?;
    Some(Lock::Held {
        owner: owner.to_owned(),
        age: age.parse().ok()?,
    })
}

/// Gives it back, if it is ours.
///
/// # Errors
/// When the host cannot be asked; the lock then ends by itself.
pub async fn release(host: &dyn Access, installation: &str, owner: &str) -> Result<(), AccessError> {
    let file = format!("/run/lock/{installation}-bootstrap.lock");
    let script = format!("[ \"$(cat {file} 2>/dev/null)\" != {} ] || rm -f {file}", quote(owner));
    host.root(&script, LIMIT).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_it_is_read() {
        assert_eq!(read("taken\n"), Some(Lock::Taken));
        let held = Lock::Held {
            owner: "ann@desk (process 7)".to_owned(),
            age: 12,
        };
        assert_eq!(read("held 12 ann@desk (process 7)\n"), Some(held));
        assert_eq!(read(""), None);
    }
}
