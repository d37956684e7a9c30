//! Making every host as it shall be.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hosts::observe::observe;
use hosts::{Access as _, AccessError, Action, Item, Kind, Plan, Remote, apply, lock};
use jiff::Timestamp;

use super::connection::{Problem, connect, failure};
use super::items::{Stage, items};
use super::payload::Payload;
use super::secrets::{self, Secrets};
use super::{Fleet, locking, status};
use crate::failure::{Exit, Failure};
use crate::installation::Summary;
use crate::progress::{Reporter, seconds};

/// Room that programs and data need at least, in MiB.
const NEEDED_MIB: u64 = 3000;

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
    owner: String,
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
            owner: locking::owner(),
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

    /// Takes the lock on every host, or says who has it.
    async fn lock(&mut self) {
        let (name, owner) = (self.fleet.inventory.config.name.clone(), self.owner.clone());
        let taken = join_all(
            self.members
                .iter()
                .map(|member| locking::take(&*member.access, &name, &owner)),
        )
        .await;
        self.settle(taken);
    }

    async fn end(&self) {
        let name = &self.fleet.inventory.config.name;
        drop(
            join_all(
                self.members
                    .iter()
                    .map(|member| lock::release(&*member.access, name, &self.owner)),
            )
            .await,
        );
    }

    /// Learns what secrets there are, decides what each host shall have, and looks what it has.
    pub(super) async fn look(&mut self) -> Result<(), Failure> {
        let config = &self.fleet.inventory.config;
        let data_dir = config.data_dir.display().to_string();
        let script = secrets::script(&data_dir);
        let told = join_all(self.members.iter().map(async |member| {
            let limit = Duration::from_secs(20);
            Ok(member.access.root(&script, limit).await?.stdout)
        }))
        .await;
        for said in self.settle(told) {
            self.secrets.learn(&said);
        }
        self.secrets.complete(config)?;
        let glibc = self.payload.glibc()?;
        let (inventory, payload, secrets) = (&self.fleet.inventory, &self.payload, &self.secrets);
        let looked = join_all(self.members.iter_mut().map(async |member| {
            member.items = items(inventory, member.index, payload, secrets);
            let plain: Vec<Item> = member.items.iter().map(|(_, item)| item.clone()).collect();
            let observed = observe(&*member.access, &plain, &data_dir).await?;
            let mut unusable = hosts::unusable(&observed.facts, &plain, NEEDED_MIB, Timestamp::now().as_second());
            if observed.facts.glibc < glibc {
                unusable.push(format!(
                    "its C library is {}.{}, the programs need {}.{}; build them on an older system",
                    observed.facts.glibc.0, observed.facts.glibc.1, glibc.0, glibc.1
                ));
            }
            if !unusable.is_empty() {
                return Err(Problem {
                    exit: Exit::Preflight,
                    message: format!(
                        "{}: nothing was changed, because {}",
                        member.access.host(),
                        unusable.join(", and ")
                    ),
                });
            }
            member.plan = Some(Plan::decide(member.access.host(), &plain, observed));
            Ok(())
        }))
        .await;
        self.settle(looked);
        Ok(())
    }

    /// The plans, and what went wrong.
    pub(super) async fn into_plans(self) -> (Vec<Plan>, Vec<Problem>) {
        let plans = self.members.into_iter().filter_map(|member| member.plan).collect();
        (plans, self.problems)
    }

    /// Makes everything of one stage so, on all hosts at once. Tells whether there was anything to do.
    async fn make(&mut self, stage: Stage, reporter: &dyn Reporter) -> bool {
        let first = self
            .members
            .iter()
            .find(|member| member.index == 0)
            .map(|member| member.access.clone());
        let made = join_all(self.members.iter().map(async |member| {
            let (mut count, plan) = (0, member.plan.as_ref());
            for action in plan.into_iter().flat_map(|plan| &plan.actions) {
                let Some((_, item)) = member.items.get(action.item).filter(|(when, _)| *when == stage) else {
                    continue;
                };
                make_one(member, item, action, first.as_deref(), reporter).await?;
                count += 1;
            }
            Ok(count)
        }))
        .await;
        self.settle(made).into_iter().sum::<usize>() > 0
    }
}

async fn make_one(
    member: &Member,
    item: &Item,
    action: &Action,
    first: Option<&Remote>,
    reporter: &dyn Reporter,
) -> Result<(), Problem> {
    let began = Instant::now();
    let host = member.access.host();
    let input = match (&item.kind, first) {
        (Kind::State { input: Some(input), .. }, Some(first)) => {
            let answer = first.root(&input.script, Duration::from_secs(30)).await?;
            Some(answer.stdout.trim().to_owned())
        }
        (Kind::State { input: Some(_), .. }, None) => {
            return Err(Problem {
                exit: Exit::Unreachable,
                message: format!("{host}: {} needs the first host, which is away", item.name),
            });
        }
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
        run.lock().await;
        let changed = run.guarded(reporter).await?;
        run.end().await;
        if !run.problems.is_empty() {
            return Err(failure(run.problems, &self.resume("up")));
        }
        Ok(Summary {
            changed,
            address: self.inventory.console(),
            first_password: run.secrets.first_password().map(str::to_owned),
            took: began.elapsed(),
            compiled,
        })
    }
}

impl Run<'_> {
    /// Looks, makes and waits.
    async fn guarded(&mut self, reporter: &dyn Reporter) -> Result<bool, Failure> {
        self.look().await?;
        let mut changed = false;
        for stage in Stage::ALL {
            let began = Instant::now();
            let made = self.make_kept(stage, reporter).await;
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

    /// Makes a stage while saying now and then that this command is still there.
    async fn make_kept(&mut self, stage: Stage, reporter: &dyn Reporter) -> bool {
        let keeper = {
            let accesses: Vec<Arc<Remote>> = self.members.iter().map(|member| member.access.clone()).collect();
            let (name, owner) = (self.fleet.inventory.config.name.clone(), self.owner.clone());
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(lock::RENEWAL).await;
                    // One that fails shows in whatever is being done there.
                    drop(join_all(accesses.iter().map(|access| lock::take(&**access, &name, &owner, None))).await);
                }
            })
        };
        let made = self.make(stage, reporter).await;
        keeper.abort();
        made
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
