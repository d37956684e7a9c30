//! Making every host as it shall be.

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::config::Role;
use futures_util::future::join_all;
use hosts::observe::observe;
use hosts::{Access as _, AccessError, Action, Input, Item, Kind, Plan, Remote, apply};
use jiff::Timestamp;

use super::brokers::Brokers;
use super::connection::{Problem, connect, failure};
use super::items::{Stage, items};
use super::leaving::{self, Leaver};
use super::locking::Locks;
use super::payload::Payload;
use super::secrets::Secrets;
use super::survey::{self, Survey};
use super::{Fleet, status};
use crate::failure::{Exit, Failure};
use crate::first_admin::{self, OneTime};
use crate::installation::Summary;
use crate::progress::{Reporter, seconds};

/// Room that programs and data need at first, in MiB.
const NEEDED_MIB: u64 = 3000;
/// Room that a host needs on which everything is there already.
const KEPT_MIB: u64 = 500;

/// A host that takes part.
struct Member {
    index: usize,
    access: Arc<Remote>,
    /// What it shall have, and when that is made.
    items: Vec<(Stage, Item)>,
    plan: Option<Plan>,
}

/// One run of a command over all hosts.
pub(super) struct Run<'a> {
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
    pub(super) async fn begin(fleet: &'a Fleet, payload: Payload) -> Result<Self, Failure> {
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

    /// Learns what secrets there are, decides what each host shall have, and looks what it has.
    pub(super) async fn look(&mut self) -> Result<(), Failure> {
        let config = &self.fleet.inventory.config;
        let data_dir = config.data_dir.display().to_string();
        let script = survey::script(&self.fleet.inventory);
        let told = join_all(self.members.iter().map(async |member| {
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
            return Err(failure(std::mem::take(&mut self.problems), &self.fleet.resume("up")));
        }
        self.leavers = leavers;
        let glibc = self.payload.glibc()?;
        let (inventory, payload, secrets) = (&self.fleet.inventory, &self.payload, &self.secrets);
        let looked = join_all(self.members.iter_mut().map(async |member| {
            member.items = items(inventory, member.index, payload, secrets, (gate, &brokers));
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
        for (machine, survey) in inventory.machines.iter().zip(surveys) {
            let Some(survey) = survey else { continue };
            if !self.secrets.learn(machine.internal, &survey.secrets) {
                problems.push("two hosts have different keys: they belong to different installations".to_owned());
            }
        }
        let console = inventory
            .machines
            .iter()
            .position(|machine| machine.roles.contains(&Role::ApplicationManager));
        let answered = console
            .and_then(|index| surveys.get(index))
            .is_some_and(Option::is_some);
        if !self.secrets.known() && !answered {
            let name = console
                .and_then(|index| inventory.machines.get(index))
                .map_or("", |machine| &machine.name);
            problems.push(format!(
                "the secrets may lie on {name}, which cannot be asked; nothing is made up without it"
            ));
        }
        if problems.is_empty() {
            self.invented = !self.secrets.known();
            if self.fleet.on.options.rotate {
                self.secrets.rotate();
            }
            self.secrets.complete(&inventory.config)?;
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
        Err(failure(std::mem::take(&mut self.problems), &self.fleet.resume("up")))
    }

    /// The plans, and what went wrong.
    pub(super) async fn into_plans(self) -> (Vec<Plan>, Vec<Problem>) {
        let stay = self.members.into_iter().filter_map(|member| member.plan);
        let leave = self.leavers.into_iter().map(Leaver::into_plan);
        (stay.chain(leave).collect(), self.problems)
    }

    /// Makes everything of one stage so. Tells whether there was anything to do.
    async fn make(&mut self, stage: Stage, reporter: &dyn Reporter) -> bool {
        let all: Vec<(usize, Arc<Remote>)> = self
            .members
            .iter()
            .map(|member| (member.index, member.access.clone()))
            .collect();
        let one = async |member: &Member| {
            let (mut count, plan) = (0, member.plan.as_ref());
            for action in plan.into_iter().flat_map(|plan| &plan.actions) {
                let Some((_, item)) = member.items.get(action.item).filter(|(when, _)| *when == stage) else {
                    continue;
                };
                make_one(member, item, action, &all, reporter).await?;
                count += 1;
            }
            Ok(count)
        };
        let mut made = Vec::new();
        if stage == Stage::Join {
            // One after the other: a swarm takes its managers in one by one.
            for member in &self.members {
                made.push(one(member).await);
            }
        } else {
            made = join_all(self.members.iter().map(one)).await;
        }
        self.settle(made).into_iter().sum::<usize>() > 0
    }
}

/// What another host must say before something can be made here.
async fn asked(host: &str, name: &str, input: &Input, all: &[(usize, Arc<Remote>)]) -> Result<String, Problem> {
    let Some((_, other)) = all.iter().find(|(index, _)| *index == input.host) else {
        return Err(Problem {
            exit: Exit::Unreachable,
            message: format!("{host}: {name} needs another host, which is away"),
        });
    };
    let answer = other.root(&input.script, Duration::from_secs(60)).await?;
    if answer.succeeded() {
        return Ok(answer.stdout.trim().to_owned());
    }
    Err(Problem {
        exit: Exit::Failed,
        message: format!(
            "{host}: {name} failed on {}: {}",
            other.host(),
            answer.last_lines(3).join(" / ")
        ),
    })
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

async fn make_one(
    member: &Member,
    item: &Item,
    action: &Action,
    all: &[(usize, Arc<Remote>)],
    reporter: &dyn Reporter,
) -> Result<(), Problem> {
    let began = Instant::now();
    let host = member.access.host();
    let input = match &item.kind {
        Kind::State { input: Some(input), .. } => Some(asked(host, &item.name, input, all).await?),
        _ => None,
    };
    let packages = member.plan.as_ref().and_then(|plan| plan.facts.packages);
    apply::make(&*member.access, item, packages, input.as_deref()).await?;
    reporter.says(&format!("{host}  {}: done ({})", action.name, seconds(began.elapsed())));
    Ok(())
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
        let (locks, taken) = locks.map_err(|problems| failure(problems, &self.resume("up")))?;
        run.settle(taken);
        let changed = run.guarded(reporter).await;
        locks.release().await;
        let changed = changed?;
        let first_password = run.first_password().await;
        if !run.problems.is_empty() {
            return Err(failure(run.problems, &self.resume("up")));
        }
        Ok(Summary {
            changed,
            address: self.inventory.console(),
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
        let given_up = |run: &mut Self| Err(failure(std::mem::take(&mut run.problems), &run.fleet.resume("up")));
        if !self.problems.is_empty() {
            return given_up(self);
        }
        let script = self.fleet.stop_services();
        let stopped = join_all(self.members.iter().map(async |member| {
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
            return Err(failure(
                std::mem::take(&mut self.problems),
                &self.fleet.resume("rotate"),
            ));
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
        let waited = join_all(self.members.iter().map(async |member| {
            let script = status::ready_script(&self.fleet.inventory, member.index);
            let answer = member.access.root(&script, Duration::from_secs(180)).await?;
            if answer.succeeded() {
                return Ok(());
            }
            Err(Problem {
                exit: Exit::Unhealthy,
                message: format!("{}: {}", member.access.host(), answer.last_lines(20).join("\n    ")),
            })
        }))
        .await;
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
        drop(
            join_all(
                self.members
                    .iter()
                    .map(|member| member.access.root(&script, Duration::from_secs(20))),
            )
            .await,
        );
        None
    }

    /// Asks the console on its own host.
    async fn one_time(&self) -> OneTime {
        let script = first_admin::script(self.fleet.inventory.config.console.port);
        let Some(console) = self.console() else {
            return OneTime::Unknown;
        };
        match console.access.root(&script, Duration::from_secs(20)).await {
            Ok(answer) => first_admin::read(&answer.stdout),
            Err(_) => OneTime::Unknown,
        }
    }

    /// The host with the console.
    fn console(&self) -> Option<&Member> {
        self.members.iter().find(|member| {
            let machine = self.fleet.inventory.machines.get(member.index);
            machine.is_some_and(|machine| machine.roles.contains(&Role::ApplicationManager))
        })
    }

    fn has_console(&self) -> bool {
        self.console().is_some()
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
