//! How much of everything there may be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Least value of [`Limits::instance_days`].
pub const LEAST_INSTANCE_DAYS: u64 = 8;

/// Limits with safe defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest bundle, in MiB.
    pub bundle_mib: u64,
    /// Largest sum of unpacked files of a bundle, in MiB.
    pub unpacked_mib: u64,
    /// Largest number of files in a bundle.
    pub bundle_entries: usize,
    /// Largest memory an application may ask for, in MiB.
    pub application_memory_mib: u64,
    /// Largest CPU share an application may ask for.
    pub application_cpus: f64,
    /// Hours that readings, logs and notifications are kept.
    pub history_hours: u64,
    /// Days that instances are kept after their end, 8 or more: their commands are kept for 7 days, and one that came again
    /// must find the instance it started.
    pub instance_days: u64,
    /// Instances that may run at once.
    pub instances: usize,
    /// Whether webhooks of users may lead to private, link-local or loopback addresses.
    pub webhook_private_addresses: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bundle_mib: 50,
            unpacked_mib: 200,
            bundle_entries: 2000,
            application_memory_mib: 1024,
            application_cpus: 2.0,
            history_hours: 24,
            instance_days: 30,
            instances: 200,
            webhook_private_addresses: false,
        }
    }
}
