//! Letting a host go.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hosts::{Access as _, Plan, Remote};

use super::{Leaver, Reach};
use crate::failure::{Exit, Failure};
use crate::fleet::Fleet;
use crate::fleet::connection::{Problem, failure};
use crate::fleet::locking::Locks;
use crate::progress::{Reporter, seconds};

/// Applications that do not end by themselves are ended after a while; then others are started elsewhere.
const MOVING: Duration = Duration::from_secs(120);
const STOPPING: Duration = Duration::from_secs(200);

/// Lets hosts go before the others take over what they did. `gate` manages the swarm and stays. Tells whether one went.
///
/// # Errors
/// What keeps one from leaving; the others have left.
pub(in crate::fleet) async fn part(
    fleet: &Fleet,
    gate: Option<Arc<Remote>>,
    leavers: &[Leaver],
    reporter: &dyn Reporter,
) -> Result<bool, Failure> {
    if leavers.is_empty() {
        return Ok(false);
    }
    let resume = fleet.again();
    let reached = leavers.iter().filter_map(|leaver| match &leaver.reach {
        Reach::Entered(access, _) => Some(access.clone()),
        Reach::Away(_) | Reach::Emptied => None,
    });
    let locks = Locks::take(fleet.name(), reached.collect()).await;
    let (locks, taken) = locks.map_err(|problems| failure(problems, &resume))?;
    let mut problems: Vec<Problem> = taken.into_iter().filter_map(Result::err).collect();
    // One after the other, and none after one that failed: a swarm that loses two managers at once may lose its majority.
    for leaver in leavers {
        if problems.is_empty() {
            problems.extend(leaver.part(fleet, gate.as_deref(), reporter).await.err());
        }
    }
    locks.release().await;
    if problems.is_empty() {
        return Ok(true);
    }
    Err(failure(problems, &resume))
}

/// Runs one step of leaving.
async fn step(on: &Remote, name: &str, what: &str, script: &str) -> Result<(), Problem> {
    let answer = on.root(script, STOPPING).await?;
    if answer.succeeded() {
        return Ok(());
    }
    Err(Problem {
        exit: Exit::Failed,
        message: format!("{name} leaves: {what}: {}", answer.last_lines(5).join(" / ")),
    })
}

impl Leaver {
    /// What `plan` says of it.
    pub(in crate::fleet) fn into_plan(self) -> Plan {
        self.plan
    }

    /// Lets it go. Without a gate there is no swarm.
    async fn part(&self, fleet: &Fleet, gate: Option<&Remote>, reporter: &dyn Reporter) -> Result<(), Problem> {
        let (began, name) = (Instant::now(), &self.former.name);
        match &self.reach {
            Reach::Entered(access, _) => {
                if let Some(gate) = gate {
                    self.moves(gate).await?;
                    reporter.says(&format!(
                        "{name}  its applications have moved ({})",
                        seconds(began.elapsed())
                    ));
                }
                step(access, name, "its services end", &fleet.stop_services()).await?;
                step(access, name, "the rest ends", &fleet.stop_rest()).await?;
                if let Some(gate) = gate {
                    step(gate, name, "it gives up the swarm", &self.demote()).await?;
                }
                step(access, name, "it is emptied", &fleet.remove()).await?;
            }
            Reach::Away(why) => self.is_away(gate, why).await?,
            Reach::Emptied => {}
        }
        if let Some(gate) = gate {
            let script = format!("{}\n{}", self.demote(), self.strike());
            step(gate, name, "it is taken out of the swarm", &script).await?;
        }
        reporter.says(&match &self.reach {
            Reach::Entered(..) | Reach::Emptied => format!("{name}  has left ({})", seconds(began.elapsed())),
            Reach::Away(why) => format!(
                "{name}  is away and was taken out of the swarm; before it comes back, remove /etc/systemd/system/{}-*.service there ({why})",
                fleet.name()
            ),
        });
        Ok(())
    }

    /// Its applications move. Where some do not, it takes part again as before.
    async fn moves(&self, gate: &Remote) -> Result<(), Problem> {
        let name = &self.former.name;
        let moved = step(gate, name, "its applications move", &self.drain()).await;
        if moved.is_err() {
            let back = format!(
                "{}\nfor node in $id; do docker node update --availability active $node >/dev/null; done",
                self.node()
            );
            step(gate, name, "it takes part again", &back).await?;
        }
        moved
    }

    /// A host that cannot be entered may be struck only when the swarm does not hear from it either.
    async fn is_away(&self, gate: Option<&Remote>, why: &str) -> Result<(), Problem> {
        let Some(gate) = gate else {
            return Ok(());
        };
        let script = format!(
            "{}\nfor node in $id; do [ \"$(docker node inspect $node --format '{{{{.Status.State}}}}')\" != ready ] || exit 1; done",
            self.node()
        );
        if gate.root(&script, STOPPING).await?.succeeded() {
            return Ok(());
        }
        Err(Problem {
            exit: Exit::Unreachable,
            message: format!(
                "{} is no longer in config.json and still works for the platform, but cannot be entered to end that: {why}",
                self.former.name
            ),
        })
    }

    /// Shell: `$id` is its node, or nothing.
    fn node(&self) -> String {
        match &self.reach {
            Reach::Entered(_, Some(id)) => format!("id={id}"),
            Reach::Entered(_, None) => "id=".to_owned(),
            Reach::Away(_) | Reach::Emptied => format!(
                "id=$(for node in $(docker node ls -q); do docker node inspect $node --format '{{{{.ID}}}} {{{{.Status.Addr}}}}{{{{with .ManagerStatus}}}} {{{{.Addr}}}}{{{{end}}}}'; done | awk -v its={} '$2 == its || $3 == its \":2377\" {{print $1}}')",
                self.former.internal
            ),
        }
    }

    fn drain(&self) -> String {
        format!(
            "{}
for node in $id; do
  docker node update --availability drain $node >/dev/null || exit 1
  timeout {} sh -c \"while docker node ps $node --format '{{{{.CurrentState}}}}' | grep -q '^Running'; do sleep 0.2; done\" || {{ echo 'some do not end' >&2; exit 1; }}
done",
            self.node(),
            MOVING.as_secs()
        )
    }

    fn demote(&self) -> String {
        format!(
            "{}\nfor node in $id; do ! docker node inspect $node >/dev/null 2>&1 || docker node demote $node >/dev/null || exit 1; done",
            self.node()
        )
    }

    /// It left by itself, or is away: its name goes from the list once the swarm knows.
    fn strike(&self) -> String {
        format!(
            "{}\nfor node in $id; do ! docker node inspect $node >/dev/null 2>&1 || timeout 60 sh -c \"until docker node rm --force $node >/dev/null; do sleep 0.5; done\" || exit 1; done",
            self.node()
        )
    }
}
