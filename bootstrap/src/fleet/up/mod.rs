//! Making every host as it shall be.

mod look;
mod make;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::config::Role;
use hosts::{Access as _, AccessError, Item, Plan, Remote};

use super::Fleet;
use super::connection::{Problem, connect, failure};
use super::items::Stage;
use super::leaving::{self, Leaver};
use super::locking::Locks;
use super::payload::Payload;
use super::secrets::Secrets;
use crate::failure::{Exit, Failure};
use crate::first_admin::{self, OneTime};
use crate::installation::Summary;
use crate::progress::{Reporter, seconds};

/// A host that takes part.
struct Member {
    index: usize,
    access: Arc<Remote>,
    /// What it shall have, and when that is made.
    items: Vec<(Stage, Item)>,
    plan: Option<Plan>,
}

/// One run of a command over all hosts.
pub(in crate::fleet) struct Run<'a> {
    fleet: &'a Fleet,
    payload: Payload,
    secrets: Secrets,
    members: Vec<Member>,
    problems: Vec<Problem>,
    /// Hosts that are no longer named.
    leavers: Vec<Leaver>,
    /// The host that manages the swarm already.
    gate: Option<usize>,
    /// Whether the installation's key was made up in this run.
    invented: bool,
}

impl<'a> Run<'a> {
    /// Signs in everywhere.
    pub(in crate::fleet) async fn begin(fleet: &'a Fleet, payload: Payload) -> Result<Self, Failure> {
        let mut run = Self {
            fleet,
            payload,
            secrets: Secrets::default(),
            members: Vec::new(),
            problems: Vec::new(),
            leavers: Vec::new(),
            gate: None,
            invented: false,
        };
        for (index, connected) in connect(&fleet.inventory).await.into_iter().enumerate() {
            match connected {
                Ok(access) => run.members.push(Member {
                    index,
                    access,
                    items: Vec::new(),
                    plan: None,
                }),
                Err(problem) => run.problems.push(problem),
            }
        }
        Ok(run)
    }

    /// Drops the hosts that something failed on, and keeps what happened.
    fn settle<T>(&mut self, outcomes: Vec<Result<T, Problem>>) -> Vec<T> {
        let mut kept = Vec::new();
        let members = std::mem::take(&mut self.members);
        for (member, outcome) in members.into_iter().zip(outcomes) {
            match outcome {
                Ok(value) => {
                    self.members.push(member);
                    kept.push(value);
                }
                Err(problem) => self.problems.push(problem),
            }
        }
        kept
    }

    fn accesses(&self) -> Vec<Arc<Remote>> {
        self.members.iter().map(|member| member.access.clone()).collect()
    }

    /// The plans, and what went wrong.
    pub(in crate::fleet) async fn into_plans(self) -> (Vec<Plan>, Vec<Problem>) {
        let stay = self.members.into_iter().filter_map(|member| member.plan);
        let leave = self.leavers.into_iter().map(Leaver::into_plan);
        (stay.chain(leave).collect(), self.problems)
    }
}

impl Fleet {
    /// Brings everything up, on every host. What is so already is left alone, so an interrupted run is continued by another.
    ///
    /// # Errors
    /// What went wrong, on which hosts; on the others everything is as far as it could be without these.
    pub async fn up(&self, reporter: &dyn Reporter) -> Result<Summary, Failure> {
        let began = Instant::now();
        let payload = self.prepare(reporter).await?;
        let compiled = began.elapsed();
        let mut run = Run::begin(self, payload).await?;
        let locks = Locks::take(&self.inventory.config.name, run.accesses()).await;
        let (locks, taken) = locks.map_err(|problems| failure(problems, &self.again()))?;
        run.settle(taken);
        let changed = run.guarded(reporter).await;
        locks.release().await;
        let changed = changed?;
        let first_password = run.first_password().await;
        if !run.problems.is_empty() {
            return Err(failure(run.problems, &self.again()));
        }
        let mut consoles = self.inventory.consoles().into_iter();
        Ok(Summary {
            changed,
            address: consoles.next().unwrap_or_default(),
            also: consoles.collect(),
            first_password,
            took: began.elapsed(),
            compiled,
        })
    }
}

impl Run<'_> {
    /// Every host has the new passwords now, and none is in use. Services that cannot sign in any more would besiege Kafka, and end
    /// slowly.
    async fn stop_services(&mut self, reporter: &dyn Reporter) -> Result<(), Failure> {
        let given_up = |run: &mut Self| Err(failure(std::mem::take(&mut run.problems), &run.fleet.again()));
        if !self.problems.is_empty() {
            return given_up(self);
        }
        let script = self.fleet.stop_services();
        let stopped = self
            .fleet
            .inventory
            .each(self.members.iter().map(async |member| {
                let answer = member.access.root(&script, Duration::from_secs(120)).await?;
                if answer.succeeded() {
                    return Ok(());
                }
                Err(Problem {
                    exit: Exit::Failed,
                    message: format!(
                        "{}: services: {}",
                        member.access.host(),
                        answer.last_lines(5).join(" / ")
                    ),
                })
            }))
            .await;
        self.settle(stopped);
        if !self.problems.is_empty() {
            return given_up(self);
        }
        reporter.says("services: stopped");
        Ok(())
    }

    /// Looks, makes and waits.
    async fn guarded(&mut self, reporter: &dyn Reporter) -> Result<bool, Failure> {
        self.look().await?;
        if self.fleet.on.options.rotate && !self.problems.is_empty() {
            self.problems.insert(
                0,
                Problem {
                    exit: Exit::Failed,
                    message: "nothing was changed: new passwords are made when every host can take them".to_owned(),
                },
            );
            return Err(failure(std::mem::take(&mut self.problems), &self.fleet.again()));
        }
        let gate = self.members.iter().find(|member| Some(member.index) == self.gate);
        let gate = gate.map(|member| member.access.clone());
        let leavers = std::mem::take(&mut self.leavers);
        let mut changed = leaving::part(self.fleet, gate, &leavers, reporter).await?;
        for stage in Stage::ALL {
            let began = Instant::now();
            if stage == Stage::Services && self.invented && !self.has_console() {
                // Without it the key would lie on hosts that let nobody in for the first time.
                break;
            }
            if stage == Stage::Elsewhere && !self.problems.is_empty() {
                // What was to run elsewhere may not run there.
                break;
            }
            if self.fleet.on.options.rotate && stage == Stage::Swarm {
                self.stop_services(reporter).await?;
            }
            let made = self.make(stage, reporter).await;
            changed |= made;
            if made {
                reporter.says(&format!(
                    "{}: {} ({})",
                    stage.name(),
                    self.state(),
                    seconds(began.elapsed())
                ));
            }
        }
        let waiting = self.members.iter().map(|member| self.wait_for(member, Stage::Services));
        let waited = self.fleet.inventory.each(waiting).await;
        self.settle(waited);
        Ok(changed)
    }

    /// The first admin's one-time password while it opens the door; once it does not, it is forgotten everywhere.
    async fn first_password(&self) -> Option<String> {
        let password = self.secrets.first_password()?;
        if self.one_time().await != OneTime::Used {
            return Some(password.to_owned());
        }
        let data = self.fleet.inventory.config.data_dir.display();
        let script = format!("rm -f {data}/secrets/{}", crate::secrets::FIRST_PASSWORD);
        // A host where that fails is asked again by the next `up`.
        let asked = self.members.iter();
        let asked = asked.map(|member| member.access.root(&script, Duration::from_secs(20)));
        drop(self.fleet.inventory.each(asked).await);
        None
    }

    /// Asks the console on its own host.
    async fn one_time(&self) -> OneTime {
        let script = first_admin::script(self.fleet.inventory.config.console.port);
        for console in self.consoles() {
            let answer = console.access.root(&script, Duration::from_secs(20)).await;
            match answer.map(|answer| first_admin::read(&answer.stdout)) {
                Ok(OneTime::Unknown) | Err(_) => {}
                Ok(told) => return told,
            }
        }
        OneTime::Unknown
    }

    /// The hosts with the console.
    fn consoles(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| {
            let machine = self.fleet.inventory.machines.get(member.index);
            machine.is_some_and(|machine| machine.roles.contains(&Role::ApplicationManager))
        })
    }

    fn has_console(&self) -> bool {
        self.consoles().next().is_some()
    }

    fn state(&self) -> &'static str {
        if self.problems.is_empty() {
            "done"
        } else {
            "done where it was possible"
        }
    }
}

impl From<AccessError> for Failure {
    fn from(error: AccessError) -> Self {
        let problem = Problem::from(error);
        Self::new(problem.exit, problem.message)
    }
}
