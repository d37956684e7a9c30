//! Messages → what is wanted. No slow work here: the loops are woken.

mod applications;
mod bindings;
mod commands;

pub(crate) use applications::Applications;
pub(crate) use bindings::Bindings;
pub(crate) use commands::Commands;

use common::messages::instance::{Instance, InstanceEvent};
use runtime::{ApplyError, BusError, HandleError};

/// Stamps an instance with the version its document will have, and tells of it.
pub(crate) fn changed(instance: &mut Instance, version: u64) -> InstanceEvent {
    instance.version = version;
    InstanceEvent::Changed {
        instance: Box::new(instance.clone()),
    }
}

/// What a handler makes of a change that was not applied.
fn not_applied(error: ApplyError<BusError>) -> HandleError {
    match error {
        ApplyError::Refused(error) => error.into(),
        ApplyError::Store(error) => error.into(),
    }
}

#[cfg(test)]
mod tests;
