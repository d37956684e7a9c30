//! What hosts shall have that are made from a backup.

use hosts::{Item, Kind};

use super::{On, state};
use crate::postgresql;

/// Which backup a host is being made from, until everything runs.
pub(in crate::fleet) const RESTORING: &str = "restoring";

/// Before anything else is made of it: `up` alone would begin anew.
pub(super) fn mark(on: &On<'_>) -> Option<Item> {
    let (backup, mark) = (on.payload.backup.as_ref()?, on.path(RESTORING));
    Some(state(
        "mark of the backup",
        format!("[ \"$(cat {mark})\" = {} ]", backup.id),
        format!("echo {} > {mark}", backup.id),
    ))
}

/// The database, before anybody serves it.
pub(super) fn database(on: &On<'_>, script: &str) -> Option<Item> {
    let (backup, mark) = (on.payload.backup.as_ref()?, on.path("postgresql/restored"));
    let kind = Kind::State {
        check: format!("[ \"$(cat {mark})\" = {} ]", backup.id),
        make: format!(
            "cd /; runuser -u {} -- {script} fill < \"$FILE\"; echo {} > {mark}",
            postgresql::ACCOUNT,
            backup.id
        ),
        input: None,
        file: Some(backup.dump.clone()?),
    };
    Some(Item::new("database of the backup", kind))
}
