//! An installation on many hosts, reached over SSH.
//!
//! Everything is built here. What each host shall have is decided from `config.json` ([`inventory`], [`items`]); one look at a host
//! tells what it has; the difference is a [`Plan`], which `plan` prints and `up` makes so, stage by stage ([`up`]).

mod backup;
mod brokers;
mod certificates;
mod connection;
mod doctor;
mod down;
mod inventory;
mod items;
mod leaving;
mod locking;
mod payload;
mod placement;
mod rollback;
mod secrets;
mod status;
mod survey;
mod up;
mod verbs;

use std::collections::BTreeMap;
use std::path::Path;

use common::config::Config;
use hosts::ssh::{Passphrase, needs_passphrase};
use hosts::{Plan, Upload};

use crate::failure::{Exit, Failure};
use crate::installation::Installation;
use crate::options::Options;
use crate::packages;
use crate::progress::Reporter;
pub(crate) use certificates::days_left;
use inventory::Inventory;
pub use status::{FleetStatus, UnitRow};
pub(crate) use verbs::known;
pub use verbs::{Acquaintance, Lines};

/// An installation on hosts that are other machines.
#[derive(Debug)]
pub struct Fleet {
    on: Installation,
    inventory: Inventory,
    /// Programs of a release that every host kept.
    kept: BTreeMap<String, Upload>,
    /// A backup that hosts are made from.
    restoring: Option<backup::Restoring>,
}

impl Fleet {
    /// An installation; no host is touched yet.
    ///
    /// # Errors
    /// When the config leaves no host for something.
    pub fn new(config: Config, options: Options) -> Result<Self, Failure> {
        let mut inventory = Inventory::new(&config).map_err(|message| Failure::new(Exit::Config, message))?;
        inventory.at_once = options.at_once;
        Ok(Self {
            on: Installation::new(config, options),
            inventory,
            kept: BTreeMap::new(),
            restoring: None,
        })
    }

    /// Asks for the passphrase of each private key that needs one. One that `ask` has none for stays closed.
    ///
    /// # Errors
    /// What `ask` returns.
    pub fn unlock<E>(&mut self, ask: impl Fn(&Path) -> Result<Option<String>, E>) -> Result<(), E> {
        for path in self.inventory.keys() {
            if needs_passphrase(&path)
                && let Some(passphrase) = ask(&path)?
            {
                self.inventory.passphrases.insert(path, Passphrase::new(passphrase));
            }
        }
        Ok(())
    }

    /// Looks what there is to do, and does nothing.
    ///
    /// # Errors
    /// When something cannot be built here, or a host cannot be asked; the plans of the others are given to the reporter first.
    pub async fn plan(&self, reporter: &dyn Reporter) -> Result<Vec<Plan>, Failure> {
        let payload = self.prepare(reporter).await?;
        let mut run = up::Run::begin(self, payload).await?;
        run.look().await?;
        let (plans, problems) = run.into_plans().await;
        if problems.is_empty() {
            return Ok(plans);
        }
        for plan in &plans {
            reporter.says(plan.to_string().trim_end());
        }
        Err(connection::failure(problems, &self.again()))
    }

    /// Builds what lands on hosts.
    async fn prepare(&self, reporter: &dyn Reporter) -> Result<payload::Payload, Failure> {
        let missing = packages::missing_to_build(&self.on.config, &self.on.layout).await;
        if !missing.is_nothing() {
            if !crate::preflight::is_root() {
                let message = format!(
                    "this machine lacks what builds the platform: {missing}; install it, or run `bootstrap prerequisites` as root"
                );
                return Err(Failure::new(Exit::Preflight, message));
            }
            reporter.says(&format!("packages of this machine: {missing}"));
            packages::install(&missing, &crate::Layout::machine().join("packages.log")).await?;
        }
        let mut payload = payload::prepare(&self.on, &self.kept, reporter).await?;
        payload.backup = self.restoring.as_ref().map(|restoring| restoring.backup.clone());
        Ok(payload)
    }

    /// Version of the C library that a host must have for the programs as they are built here, major and minor.
    ///
    /// # Errors
    /// When they cannot be built or read.
    pub async fn needs_glibc(&self, reporter: &dyn Reporter) -> Result<(u32, u32), Failure> {
        Ok(self.prepare(reporter).await?.glibc()?)
    }

    /// Name of the installation.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inventory.config.name
    }

    /// How many hosts there are.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.inventory.machines.len()
    }

    /// How the same is done again.
    fn again(&self) -> String {
        self.resume(&self.on.options.verb)
    }

    fn resume(&self, verb: &str) -> String {
        format!("{} {verb}", self.on.options.invocation)
    }
}
