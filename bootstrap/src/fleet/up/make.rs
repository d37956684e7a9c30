//! Making what differs so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::config::Role;
use futures_util::future::join_all;
use hosts::{Access as _, Action, Input, Item, Kind, Remote, apply};

use super::{Member, Run};
use crate::failure::Exit;
use crate::fleet::connection::Problem;
use crate::fleet::items::Stage;
use crate::fleet::status;
use crate::kafka;
use crate::layout::account;
use crate::progress::{Reporter, seconds};

/// How long a broker that was changed may take to get what came meanwhile.
const COPIED: Duration = Duration::from_secs(300);

impl Run<'_> {
    /// Makes everything of one stage so. Tells whether there was anything to do.
    pub(super) async fn make(&mut self, stage: Stage, reporter: &dyn Reporter) -> bool {
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
        match stage {
            // One after the other: a swarm takes its managers in one by one.
            Stage::Join => {
                for member in &self.members {
                    made.push(one(member).await);
                }
            }
            Stage::Infrastructure | Stage::Services if self.one_by_one(stage).await => {
                made = self.in_turn(stage, one).await;
            }
            // Brokers need each other to begin, however few hosts an admin wants changed at once.
            Stage::Infrastructure => made = join_all(self.members.iter().map(one)).await,
            _ => made = self.fleet.inventory.each(self.members.iter().map(one)).await,
        }
        self.settle(made).into_iter().sum::<usize>() > 0
    }

    /// One host after the other. The first that does not get ready keeps the next from the same fate, also when the command is run again.
    /// Infrastructure is waited for where it was changed only: what is broken elsewhere may be what a later host is to mend.
    async fn in_turn(
        &self,
        stage: Stage,
        one: impl AsyncFn(&Member) -> Result<usize, Problem>,
    ) -> Vec<Result<usize, Problem>> {
        if stage == Stage::Infrastructure {
            // The run before may have ended while a broker was still getting its copies. One that is to be changed may be mended by that.
            let asked = self.members.iter().map(async |member| {
                if is_due(member, stage) {
                    return Ok(());
                }
                self.copies(member).await
            });
            let whole = self.fleet.inventory.each(asked).await;
            if whole.iter().any(Result::is_err) {
                return whole.into_iter().map(|whole| whole.map(|()| 0)).collect();
            }
        }
        let mut made: Vec<Result<usize, Problem>> = Vec::new();
        for member in &self.members {
            if made.iter().any(Result::is_err) {
                made.push(Ok(0));
                continue;
            }
            let outcome = match one(member).await {
                Ok(0) if stage == Stage::Infrastructure => Ok(0),
                Ok(count) => self.works_again(member, stage).await.map(|()| count),
                outcome => outcome,
            };
            made.push(outcome);
        }
        made
    }

    /// Whether hosts are changed one after the other: what runs on one is away while the others work. Where none works yet there is no reason
    /// to, but for several brokers, which hundreds of clients that begin at once keep busy for long. Brokers that do not work need each other to begin, and so do members
    /// of a replica set.
    async fn one_by_one(&self, stage: Stage) -> bool {
        if !self.members.iter().any(|member| is_due(member, stage)) {
            return false;
        }
        let works = !self.invented && !self.fleet.on.options.rotate;
        let config = &self.fleet.inventory.config;
        let brokers = config.brokers() > 1;
        match stage {
            Stage::Infrastructure => works && (brokers || config.has_replica_set()) && self.several_work().await,
            _ => works || brokers,
        }
    }

    /// Whether most brokers and members of a replica set work now. The others do not need them to begin: they may be beginning.
    async fn several_work(&self) -> bool {
        let inventory = &self.fleet.inventory;
        let asked = inventory
            .each(self.members.iter().map(async |member| {
                let script = status::several_script(inventory, member.index)?;
                let answer = member.access.root(&script, Duration::from_secs(20)).await;
                Some(answer.is_ok_and(|answer| answer.succeeded()))
            }))
            .await;
        let asked: Vec<bool> = asked.into_iter().flatten().collect();
        2 * asked.iter().filter(|works| **works).count() > asked.len()
    }

    /// Waits until what was changed on a host works, so that the next host may be changed.
    async fn works_again(&self, member: &Member, stage: Stage) -> Result<(), Problem> {
        self.wait_for(member, stage).await?;
        if stage == Stage::Infrastructure {
            self.copies(member).await?;
        }
        Ok(())
    }

    /// Waits until a broker that was changed has its copies of everything: a message that only the next one has could not be read while that is away.
    async fn copies(&self, member: &Member) -> Result<(), Problem> {
        let config = &self.fleet.inventory.config;
        let machine = self.fleet.inventory.machines.get(member.index);
        if config.brokers() < 2 || !machine.is_some_and(|machine| machine.roles.contains(&Role::Kafka)) {
            return Ok(());
        }
        let layout = &self.fleet.on.layout;
        let program = kafka::copies_command(layout, COPIED.as_secs()).map(|word| format!("'{word}'"));
        // Of this broker only: one that is away already cannot have its copies. A release that brings no such program did not wait either.
        let script = format!(
            "[ ! -e '{}' ] || {{ cd /; runuser -u {} -- {} {}; }}",
            kafka::copies_class(layout).display(),
            account(&config.name),
            program.join(" "),
            kafka::own_number(layout)
        );
        let answer = member.access.root(&script, COPIED + Duration::from_secs(90)).await?;
        if answer.succeeded() {
            return Ok(());
        }
        Err(Problem {
            exit: Exit::Unhealthy,
            message: format!("{}: kafka: {}", member.access.host(), answer.last_lines(3).join(" / ")),
        })
    }

    /// Waits until everything on a host is ready, or its infrastructure.
    pub(super) async fn wait_for(&self, member: &Member, stage: Stage) -> Result<(), Problem> {
        let script = status::ready_script(&self.fleet.inventory, member.index, stage);
        let answer = member.access.root(&script, Duration::from_secs(180)).await?;
        if answer.succeeded() {
            return Ok(());
        }
        Err(Problem {
            exit: Exit::Unhealthy,
            message: format!("{}: {}", member.access.host(), answer.last_lines(20).join("\n    ")),
        })
    }
}

/// Whether something of a stage is to be made on a host.
fn is_due(member: &Member, stage: Stage) -> bool {
    let mut actions = member.plan.iter().flat_map(|plan| &plan.actions);
    actions.any(|action| member.items.get(action.item).is_some_and(|(when, _)| *when == stage))
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
