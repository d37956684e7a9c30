//! Hosts that are no longer in `config.json`: each host keeps a list of all, so those that are missing now are known.
//!
//! What runs on such a host moves first: the Engine's swarm starts its applications elsewhere, then its services stop, then it is
//! taken out of the swarm and emptied. Only then the others get what they have to take over.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::config::{Bastion, Role, Ssh};
use futures_util::future::join_all;
use hosts::observe::observe;
use hosts::ssh::Session;
use hosts::{Access as _, AccessError, Action, Change, Plan, Remote};
use serde::{Deserialize, Serialize};

use super::Fleet;
use super::connection::{Problem, failure};
use super::inventory::Inventory;
use super::locking::Locks;
use super::survey::{self, Survey};
use crate::failure::{Exit, Failure};
use crate::progress::{Reporter, seconds};

/// Applications that do not end by themselves are ended after a while; then others are started elsewhere.
const MOVING: Duration = Duration::from_secs(120);
const STOPPING: Duration = Duration::from_secs(180);

/// A host as the others remember it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Former {
    /// Name.
    pub(super) name: String,
    /// Where the admin's machine reached it.
    pub(super) address: String,
    /// Where the other hosts reached it.
    pub(super) internal: Ipv4Addr,
    /// The way to it, without the key: that lies where the admin is.
    pub(super) ssh: Ssh,
}

/// A host that leaves.
pub(super) struct Leaver {
    former: Former,
    /// The way to it, or why there is none.
    access: Result<Arc<Remote>, String>,
    /// What `plan` says of it.
    plan: Option<Plan>,
}

/// What each host keeps: all hosts, as JSON.
pub(super) fn record(inventory: &Inventory) -> String {
    let all: Vec<Former> = inventory
        .machines
        .iter()
        .zip(&inventory.config.hosts)
        .map(|(machine, host)| Former {
            name: machine.name.clone(),
            address: machine.address.clone(),
            internal: machine.internal,
            ssh: without_files(&host.ssh),
        })
        .collect();
    // Of a list of texts and numbers nothing fails.
    serde_json::to_string(&all).unwrap_or_default() + "\n"
}

fn without_files(ssh: &Ssh) -> Ssh {
    Ssh {
        key: None,
        known_hosts: None,
        bastion: ssh.bastion.as_ref().map(|bastion| Bastion {
            key: None,
            ..bastion.clone()
        }),
        ..ssh.clone()
    }
}

/// Reads what a host keeps; nothing of what is not ours.
pub(super) fn read(text: &str) -> Vec<Former> {
    serde_json::from_str(text).unwrap_or_default()
}

/// The hosts that somebody remembers and `config.json` does not name.
fn missing(inventory: &Inventory, told: &[Option<Survey>]) -> Vec<Former> {
    let mut found: Vec<Former> = Vec::new();
    for former in told.iter().flatten().flat_map(|survey| &survey.hosts) {
        let stays = inventory
            .machines
            .iter()
            .any(|machine| machine.internal == former.internal);
        if !stays && found.iter().all(|known| known.internal != former.internal) {
            found.push(former.clone());
        }
    }
    found
}

/// Looks for hosts that leave, and at them. What keeps one from leaving is a problem.
pub(super) async fn look(inventory: &Inventory, told: &[Option<Survey>]) -> (Vec<Leaver>, Vec<Problem>) {
    let looked = join_all(
        missing(inventory, told)
            .into_iter()
            .map(|former| look_at(inventory, former)),
    )
    .await;
    let (mut leavers, mut problems) = (Vec::new(), Vec::new());
    for outcome in looked {
        match outcome {
            Ok(Some(leaver)) => leavers.push(leaver),
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    (leavers, problems)
}

/// `None`: it has nothing of this installation any more.
async fn look_at(inventory: &Inventory, former: Former) -> Result<Option<Leaver>, Problem> {
    let target = inventory.way(&former.name, &former.address, &former.ssh);
    let session = match Session::connect(&target).await.map_err(AccessError::from) {
        Ok(session) => session,
        Err(error) => {
            let access = Err(error.to_string());
            let plan = None;
            return Ok(Some(Leaver { former, access, plan }));
        }
    };
    let access = Arc::new(Remote::new(session, &target.name, &target.user));
    let answer = access.root(&survey::script(inventory), Duration::from_secs(20)).await?;
    let survey = Survey::read(&answer.stdout);
    if survey.marker.as_ref() != Some(&inventory.config.name) {
        return Ok(None);
    }
    if let Some(message) = keeps(&former, &survey) {
        return Err(Problem {
            exit: Exit::Preflight,
            message,
        });
    }
    let data = inventory.config.data_dir.display().to_string();
    let facts = observe(&*access, &[], &data).await?.facts;
    let plan = Plan {
        host: former.name.clone(),
        facts,
        actions: vec![Action {
            item: 0,
            name: "leaves: its applications move, its services end, everything of the platform is removed".to_owned(),
            change: Change::Alter("no longer in config.json".to_owned()),
        }],
        right: 0,
    };
    Ok(Some(Leaver {
        former,
        access: Ok(access),
        plan: Some(plan),
    }))
}

/// Why a host cannot leave.
fn keeps(former: &Former, survey: &Survey) -> Option<String> {
    let data: Vec<&str> = survey.data.iter().map(|role: &Role| role.name()).collect();
    (!data.is_empty()).then(|| {
        format!(
            "nothing was changed: {} is no longer in config.json, but the data of {} is on it; put it back, or move the data first",
            former.name,
            data.join(" and ")
        )
    })
}

/// Lets hosts go before the others take over what they did. `gate` manages the swarm and stays. Tells whether one went.
///
/// # Errors
/// What keeps one from leaving; the others have left.
pub(super) async fn part(
    fleet: &Fleet,
    gate: Option<Arc<Remote>>,
    leavers: &[Leaver],
    reporter: &dyn Reporter,
) -> Result<bool, Failure> {
    if leavers.is_empty() {
        return Ok(false);
    }
    let resume = fleet.resume("up");
    let reached = leavers.iter().filter_map(|leaver| leaver.access.as_ref().ok().cloned());
    let locks = Locks::take(fleet.name(), reached.collect()).await;
    let (locks, taken) = locks.map_err(|problems| failure(problems, &resume))?;
    let mut problems: Vec<Problem> = taken.into_iter().filter_map(Result::err).collect();
    // One after the other: a swarm that loses two managers at once may lose its majority.
    for leaver in leavers {
        problems.extend(leaver.part(fleet, gate.as_deref(), reporter).await.err());
    }
    locks.release().await;
    if problems.is_empty() {
        return Ok(true);
    }
    Err(failure(problems, &resume))
}

impl Leaver {
    /// What `plan` says of it.
    pub(super) fn into_plan(self) -> Option<Plan> {
        self.plan
    }

    /// Lets it go. Without a gate there is no swarm that it is in with those that stay.
    async fn part(&self, fleet: &Fleet, gate: Option<&Remote>, reporter: &dyn Reporter) -> Result<(), Problem> {
        let (began, name) = (Instant::now(), &self.former.name);
        let step = async |access: Option<&Remote>, what: &str, script: &str, limit: Duration| {
            let Some(access) = access else {
                return Ok(());
            };
            let answer = access.root(script, limit).await?;
            if answer.succeeded() {
                return Ok(());
            }
            Err(Problem {
                exit: Exit::Failed,
                message: format!("{name} leaves: {what}: {}", answer.last_lines(5).join(" / ")),
            })
        };
        match &self.access {
            Ok(access) => {
                step(
                    gate,
                    "its applications move",
                    &self.drain(),
                    MOVING + Duration::from_secs(10),
                )
                .await?;
                reporter.says(&format!(
                    "{name}  its applications have moved ({})",
                    seconds(began.elapsed())
                ));
                let access = Some(&**access);
                step(access, "its services end", &fleet.stop_services(), STOPPING).await?;
                step(gate, "it gives up the swarm", &self.demote(), STOPPING).await?;
                step(access, "it is emptied", &fleet.remove(), STOPPING).await?;
            }
            Err(why) => self.is_away(gate, why).await?,
        }
        step(gate, "it is taken out of the swarm", &self.strike(), STOPPING).await?;
        reporter.says(&match &self.access {
            Ok(_) => format!("{name}  has left ({})", seconds(began.elapsed())),
            Err(why) => format!(
                "{name}  is away and was taken out of the swarm; before it comes back, remove /etc/systemd/system/{}-*.service there ({why})",
                fleet.name()
            ),
        });
        Ok(())
    }

    /// A host that cannot be entered may be struck only when the swarm does not hear from it either.
    async fn is_away(&self, gate: Option<&Remote>, why: &str) -> Result<(), Problem> {
        let Some(gate) = gate else {
            return Ok(());
        };
        let script = format!(
            "{}\nfor node in $id; do [ \"$(docker node inspect $node --format '{{{{.Status.State}}}}')\" != ready ] || exit 1; done\n{}",
            self.node(),
            self.demote()
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
        format!(
            "id=$(for node in $(docker node ls -q); do docker node inspect $node --format '{{{{.ID}}}} {{{{.Status.Addr}}}}'; done | awk -v its={} '$2 == its {{print $1}}')",
            self.former.internal
        )
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
            "{}\nfor node in $id; do docker node demote $node >/dev/null || exit 1; done",
            self.node()
        )
    }

    /// It left by itself, or is away: its name goes from the list once the swarm knows.
    fn strike(&self) -> String {
        format!(
            "{}\nfor node in $id; do timeout 60 sh -c \"until docker node rm --force $node >/dev/null; do sleep 0.5; done\" || exit 1; done",
            self.node()
        )
    }
}

#[cfg(test)]
mod tests {
    use common::config::Config;

    use super::*;

    fn inventory(hosts: &str) -> Inventory {
        Inventory::new(&Config::parse(&format!(r#"{{"hosts": [{hosts}]}}"#)).unwrap()).unwrap()
    }

    const A: &str = r#"{"name": "a", "connection": "ssh", "address": "192.0.2.1"}"#;
    const B: &str = r#"{"name": "b", "connection": "ssh", "address": "b.example.org", "internal_address": "192.0.2.2",
                        "ssh": {"port": 2222, "key": "/home/somebody/b.pem", "bastion": {"address": "gate", "key": "gate.pem"}}}"#;

    #[test]
    fn whoever_is_remembered_and_not_named_leaves() {
        let before = inventory(&format!("{A}, {B}"));
        let kept = record(&before);
        let survey = |text: &str| Some(Survey::read(&format!("hosts {text}secrets\n")));
        let now = inventory(A);
        let told = [survey(&kept), None, survey(&kept), survey("not ours\n")];
        let gone = missing(&now, &told);
        assert_eq!(gone.len(), 1, "{gone:?}");
        assert_eq!(
            (gone[0].name.as_str(), gone[0].address.as_str()),
            ("b", "b.example.org")
        );
        assert!(missing(&before, &told).is_empty());
        // Another name for the same host is no other host.
        let renamed = inventory(&format!(
            r#"{A}, {{"name": "bee", "connection": "ssh", "address": "192.0.2.2"}}"#
        ));
        assert!(missing(&renamed, &told).is_empty());
    }

    #[test]
    fn no_file_of_the_admin_is_remembered() {
        let kept = record(&inventory(B));
        assert!(!kept.contains(".pem"), "{kept}");
        assert!(kept.contains("2222") && kept.contains("gate"), "{kept}");
    }

    #[test]
    fn a_host_with_data_stays() {
        let former = read(&record(&inventory(A))).remove(0);
        assert_eq!(keeps(&former, &Survey::read("marker iot\n")), None);
        let refused = keeps(&former, &Survey::read("data kafka\ndata registry\n")).unwrap();
        assert!(refused.contains("kafka and registry"), "{refused}");
    }
}
