//! Who may act for an instance: one process at a time, by a lease with a session number that only grows. Pure.

use common::{InstanceId, Timestamp};
use runtime::Entity;
use serde::{Deserialize, Serialize};

/// How long a lease lasts without being renewed.
pub const LEASE_MS: i64 = 10_000;

/// The process of this service that holds a lease for a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its host; one copy of this service runs on a host.
    pub host: String,
    /// Which start of it.
    pub process: String,
}

/// A lease as a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The instance.
    pub instance: InstanceId,
    /// The shard; 0 where the instance has one state.
    pub shard: u32,
    /// Grows each time it is taken.
    pub session: u64,
    /// The process, as the application calls itself.
    pub replica: String,
    /// Who holds it for the replica; none: it is free.
    pub holder: Option<Holder>,
    /// When it ends by itself.
    pub until: Timestamp,
}

impl Entity for Lease {
    const COLLECTION: &'static str = "sensor_manager_leases";
    const INDEXES: &'static [&'static str] = &["instance"];
    fn index(&self) -> Vec<(&'static str, String)> {
        vec![("instance", self.instance.to_string())]
    }
}

/// Who wants a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The instance.
    pub instance: InstanceId,
    /// The shard.
    pub shard: u32,
    /// The application's process.
    pub replica: String,
    /// This process.
    pub holder: Holder,
}

/// Returns the lease as the wisher holds it; `None` while another does.
#[must_use]
pub fn take(current: Option<&Lease>, wish: &Wish, now: Timestamp) -> Option<Lease> {
    let may = current.is_none_or(|lease| {
        let gone = |holder: &Holder| {
            // Another start on the same host is dead, because this one runs there.
            holder.host == wish.holder.host && holder.process != wish.holder.process
        };
        lease.until <= now || lease.replica == wish.replica || lease.holder.as_ref().is_none_or(gone)
    });
    may.then(|| Lease {
        instance: wish.instance,
        shard: wish.shard,
        session: current.map_or(0, |lease| lease.session) + 1,
        replica: wish.replica.clone(),
        holder: Some(wish.holder.clone()),
        until: now.plus_millis(LEASE_MS),
    })
}

/// Returns the lease renewed; `None` when the session is over.
#[must_use]
pub fn renew(current: Option<&Lease>, session: u64, now: Timestamp) -> Option<Lease> {
    let lease = current.filter(|lease| lease.session == session && lease.holder.is_some())?;
    Some(Lease {
        until: now.plus_millis(LEASE_MS),
        ..lease.clone()
    })
}

/// Returns the lease freed; `None` when the session is over already.
#[must_use]
pub fn free(current: Option<&Lease>, session: u64, now: Timestamp) -> Option<Lease> {
    let lease = current.filter(|lease| lease.session == session && lease.holder.is_some())?;
    Some(Lease {
        holder: None,
        until: now,
        ..lease.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(host: &str, process: &str, replica: &str) -> Wish {
        Wish {
            instance: InstanceId::derive(&["i"]),
            shard: 0,
            replica: replica.to_owned(),
            holder: Holder {
                host: host.to_owned(),
                process: process.to_owned(),
            },
        }
    }

    #[test]
    fn one_holds_it_until_it_is_free_over_or_its_process_is_dead() {
        let now = Timestamp::from_millis(1_000_000);
        let held = take(None, &wish("a", "1", "x"), now).unwrap();
        assert_eq!(held.session, 1);
        let cases = [
            ("another replica waits", wish("a", "1", "y"), 0, None),
            ("also by another host", wish("b", "9", "y"), 9_999, None),
            ("until it is over", wish("b", "9", "y"), 10_000, Some(2)),
            ("the same replica comes again", wish("b", "9", "x"), 0, Some(2)),
            ("the process was started anew", wish("a", "2", "y"), 0, Some(2)),
        ];
        for (words, wish, later, session) in cases {
            let taken = take(Some(&held), &wish, now.plus_millis(later));
            assert_eq!(taken.map(|lease| lease.session), session, "{words}");
        }
        let freed = free(Some(&held), 1, now).unwrap();
        assert_eq!(take(Some(&freed), &wish("b", "9", "y"), now).unwrap().session, 2);
    }

    #[test]
    fn only_the_newest_session_renews_and_frees() {
        let now = Timestamp::from_millis(1_000_000);
        let held = take(None, &wish("a", "1", "x"), now).unwrap();
        let newer = take(Some(&held), &wish("a", "1", "x"), now).unwrap();
        assert_eq!(renew(Some(&newer), 1, now), None);
        assert_eq!(free(Some(&newer), 1, now), None);
        let later = now.plus_millis(60_000);
        assert_eq!(
            renew(Some(&newer), 2, later).unwrap().until,
            later.plus_millis(LEASE_MS),
            "late, but nobody came"
        );
        let freed = free(Some(&newer), 2, now).unwrap();
        assert_eq!(renew(Some(&freed), 2, now), None);
    }
}
