//! What there is, and what therefore is to be done.

use std::time::Duration;

use common::config::Role;
use hosts::observe::observe;
use hosts::{Access as _, Item, Plan};
use jiff::Timestamp;

use super::{Member, Run};
use crate::failure::{Exit, Failure};
use crate::fleet::brokers::Brokers;
use crate::fleet::connection::{Problem, failure};
use crate::fleet::items::{Seen, items};
use crate::fleet::leaving;
use crate::fleet::survey::{self, Survey};

/// Room that programs and data need at first, in MiB.
const NEEDED_MIB: u64 = 3000;
/// Room that a host needs on which everything is there already.
const KEPT_MIB: u64 = 500;

impl Run<'_> {
    /// Learns what secrets there are, decides what each host shall have, and looks what it has.
    pub(in crate::fleet) async fn look(&mut self) -> Result<(), Failure> {
        let config = &self.fleet.inventory.config;
        let data_dir = config.data_dir.display().to_string();
        let script = survey::script(&self.fleet.inventory);
        let told = self
            .fleet
            .inventory
            .each(self.members.iter().map(async |member| {
                let limit = Duration::from_secs(20);
                let survey = Survey::read(&member.access.root(&script, limit).await?.stdout);
                let internal = self
                    .fleet
                    .inventory
                    .machines
                    .get(member.index)
                    .map(|machine| machine.internal);
                let problems = internal.map(|internal| survey::unusable(&self.fleet.inventory, internal, &survey));
                match problems.unwrap_or_default() {
                    problems if problems.is_empty() => Ok((member.index, survey)),
                    problems => Err(refusal(member, &problems)),
                }
            }))
            .await;
        let mut surveys: Vec<Option<Survey>> = vec![None; self.fleet.inventory.machines.len()];
        for (index, survey) in self.settle(told) {
            if let Some(place) = surveys.get_mut(index) {
                *place = Some(survey);
            }
        }
        self.understand(&surveys)?;
        let gate = survey::gate(&surveys);
        self.gate = gate;
        let brokers = Brokers::number(&self.fleet.inventory, &surveys);
        let (leavers, problems) = leaving::look(&self.fleet.inventory, &surveys, &self.secrets).await;
        if !problems.is_empty() {
            self.problems.extend(problems);
            return Err(failure(std::mem::take(&mut self.problems), &self.fleet.again()));
        }
        self.leavers = leavers;
        // What was kept on a host has run there.
        let glibc = if self.payload.returns {
            (0, 0)
        } else {
            self.payload.glibc()?
        };
        let known_hosts = self.fleet.inventory.known_hosts();
        let seen = Seen {
            gate,
            brokers: &brokers,
            database: survey::database_leader(&self.fleet.inventory, &surveys),
            known_hosts: &known_hosts,
        };
        let (inventory, payload, secrets) = (&self.fleet.inventory, &self.payload, &self.secrets);
        let looked = inventory
            .each(self.members.iter_mut().map(async |member| {
                member.items = items(inventory, member.index, payload, secrets, seen);
                let plain: Vec<Item> = member.items.iter().map(|(_, item)| item.clone()).collect();
                let observed = observe(&*member.access, &plain, &data_dir).await?;
                let begun = surveys
                    .get(member.index)
                    .and_then(Option::as_ref)
                    .is_some_and(|survey| survey.marker.is_some());
                let room = if begun { KEPT_MIB } else { NEEDED_MIB };
                let mut unusable = hosts::unusable(&observed.facts, &plain, room, Timestamp::now().as_second());
                if observed.facts.glibc < glibc {
                    unusable.push(format!(
                        "its C library is {}.{}, the programs need {}.{}; build them on an older system",
                        observed.facts.glibc.0, observed.facts.glibc.1, glibc.0, glibc.1
                    ));
                }
                if !unusable.is_empty() {
                    return Err(refusal(member, &unusable));
                }
                member.plan = Some(Plan::decide(member.access.host(), &plain, observed));
                Ok(())
            }))
            .await;
        self.settle(looked);
        Ok(())
    }

    /// Decides whether the hosts belong together, and which secrets hold.
    fn understand(&mut self, surveys: &[Option<Survey>]) -> Result<(), Failure> {
        let inventory = &self.fleet.inventory;
        let mut problems = survey::discord(inventory, surveys);
        let restoring = self.fleet.restoring.as_ref();
        if let Some(restoring) = restoring {
            for (internal, said) in &restoring.said {
                self.secrets.learn(*internal, said);
            }
            self.secrets.set_restored();
            problems.extend(survey::in_the_way(inventory, surveys, &restoring.backup.id));
        } else {
            problems.extend(survey::half_restored(inventory, surveys));
        }
        for (machine, survey) in inventory.machines.iter().zip(surveys) {
            let Some(survey) = survey else { continue };
            if !self.secrets.learn(machine.internal, &survey.secrets) {
                problems.push("two hosts have different keys: they belong to different installations".to_owned());
            }
        }
        let silent = inventory
            .machines
            .iter()
            .zip(surveys)
            .find(|(machine, survey)| machine.roles.contains(&Role::ApplicationManager) && survey.is_none());
        if let Some((machine, _)) = silent.filter(|_| !self.secrets.known()) {
            problems.push(format!(
                "the secrets may lie on {}, which cannot be asked; nothing is made up without it",
                machine.name
            ));
        }
        if problems.is_empty() {
            self.invented = !self.secrets.known();
            if self.fleet.on.options.rotate {
                self.secrets.rotate();
            }
            let begins = survey::kafka_begins(inventory, surveys);
            if begins {
                self.secrets.forget_kafka();
            }
            self.secrets.complete(&inventory.config, begins)?;
            let asked = inventory.machines.iter().zip(surveys);
            let complete = asked
                .clone()
                .all(|(machine, survey)| !machine.manages || survey.is_some());
            let (name, machines) = (&inventory.config.name, &inventory.machines);
            let waiting = self.secrets.certify(name, machines, complete, Timestamp::now())?;
            let answered = asked.filter(|(_, survey)| survey.is_some());
            problems.extend(
                answered
                    .filter(|(machine, _)| waiting.contains(&machine.name))
                    .map(|(machine, _)| {
                        format!(
                            "{} needs a certificate, and the hosts that can sign it cannot be asked",
                            machine.name
                        )
                    }),
            );
        }
        if problems.is_empty() {
            return Ok(());
        }
        let all = problems.into_iter().map(|message| Problem {
            exit: Exit::Preflight,
            message: format!("nothing was changed: {message}"),
        });
        self.problems.extend(all);
        Err(failure(std::mem::take(&mut self.problems), &self.fleet.again()))
    }
}

fn refusal(member: &Member, reasons: &[String]) -> Problem {
    Problem {
        exit: Exit::Preflight,
        message: format!(
            "{}: nothing was changed, because {}",
            member.access.host(),
            reasons.join(", and ")
        ),
    }
}
