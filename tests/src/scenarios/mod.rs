//! What is shown, one file per story.

mod adverse;
mod backup;
mod boundaries;
mod brokers;
mod browser;
mod counted;
mod exactness;
mod failing;
pub(crate) mod faults;
mod hostile;
mod hosts;
mod lifecycle;
mod measured;
mod membership;
mod messages;
mod occurrences;
mod path;
mod state;
mod upgrade;
mod watch;
mod wires;

use std::sync::Arc;

use anyhow::Result;
use futures_util::future::LocalBoxFuture;

use crate::stack::Stack;

/// One story.
pub struct Scenario {
    /// Its name, as a filter finds it.
    pub name: &'static str,
    /// Plays it.
    pub run: fn(Arc<Stack>) -> LocalBoxFuture<'static, Result<()>>,
}

impl std::fmt::Debug for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scenario")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

macro_rules! scenarios {
    ($($name:literal => $play:path),* $(,)?) => {
        &[$(Scenario { name: $name, run: |stack| Box::pin(async move { $play(&stack).await }) }),*]
    };
}

/// A story on hosts of its own.
pub(crate) struct Operation {
    /// What happens.
    pub(crate) name: &'static str,
    /// Plays it.
    pub(crate) run: fn() -> LocalBoxFuture<'static, Result<()>>,
}

macro_rules! operations {
    ($($name:literal => $play:path),* $(,)?) => {
        &[$(Operation { name: $name, run: || Box::pin($play()) }),*]
    };
}

/// All of them, in the order in which they are played.
pub const SCENARIOS: &[Scenario] = scenarios![
    "a_second_up_changes_nothing" => lifecycle::again,
    "an_admins_commands" => lifecycle::commands,
    "store_loses_no_write_under_contention" => state::contention,
    "stores_keep_their_contract_on_a_server" => state::contracts,
    "from_zip_to_device_and_back" => path::from_zip_to_device,
    "a_task_ends_with_its_exit_code" => path::tasks,
    "a_backup_brings_back_what_was_deleted" => lifecycle::restored,
    "a_build_that_fails_says_why" => failing::build,
    "an_application_that_fails_is_started_again_with_pauses" => failing::crash_loop,
    "notifications_reach_mail_and_webhook" => messages::mail_and_webhook,
    "hostile_bundles_leave_nothing_behind" => hostile::bundles,
    "doubtful_readings_are_counted_and_shown" => hostile::readings,
    "impossible_schedules_are_refused" => hostile::schedules,
    "bootstrap_says_what_is_wrong_before_it_starts" => hostile::configurations,
    "a_service_that_hangs_is_told_of" => watch::hung,
    "a_malformed_message_holds_up_nothing" => watch::malformed,
    "an_application_reaches_nothing_but_the_agent" => boundaries::network,
    "only_accounts_may_and_only_what_is_theirs" => wires::accounts,
    "every_service_killed_at_500_readings_a_second" => exactness::services,
    "an_upgrade_and_a_rollback_under_traffic" => upgrade::there_and_back,
    "container_kafka_and_mongodb_killed" => exactness::infrastructure,
    "latency_beside_kafka_itself" => measured::latency,
    "the_demo_switches_its_fan" => lifecycle::demo,
    "a_person_walks_the_whole_path_in_a_browser" => browser::path,
    "every_page_in_every_state" => browser::pages,
    "three_hosts_from_nothing_over_ssh" => hosts::three,
    "data_survives_down_and_up" => lifecycle::down_and_up,
    "data_survives_a_kill_of_everything" => lifecycle::killed_at_once,
    "new_passwords_and_tls_for_devices_while_readings_are_sent" => wires::rotation,
];

/// What an admin meets on hosts, and how long each takes as a whole: for the campaign `operations`.
pub(crate) const OPERATIONS: &[Operation] = operations![
    "a wrong key, a changed host key, no sudo, a full disk, a host that is off or hangs, `up` killed three times" => adverse::all,
    "new passwords and certificates; `down` and `up` keep what there was" => hosts::rotation_and_return,
    "an upgrade and a rollback with two copies of each service, while readings are counted and occurrences fall due" => upgrade::on_hosts,
    "a backup; everything is deleted; the hosts become what they were" => backup::deleted_and_restored,
    "a host joins, another leaves, while readings are counted" => membership::joins_and_leaves,
    "three brokers: one killed, one away, while readings are counted" => brokers::one_is_lost,
];

pub(crate) use adverse::interruptions;
pub use exactness::{Toll, checkpoint, run_with_faults};
pub(crate) use hosts::config as hosts_config;
pub use path::instance_is;
