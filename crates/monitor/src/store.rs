//! What the monitor remembers of a copy of a service.

use common::messages::health::ServiceHealth;
use runtime::Entity;
use serde::{Deserialize, Serialize};

/// The newest verdict on a copy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The verdict.
    pub health: ServiceHealth,
}

impl Entity for Judged {
    const COLLECTION: &'static str = "monitor_services";
}
