//! Hosts that are no longer in `config.json`: each host keeps a list of all, so those that are missing now are known.
//!
//! What runs on such a host moves first: the Engine's swarm starts its applications elsewhere, then its services stop, then it is
//! taken out of the swarm and emptied. Only then the others get what they have to take over.

mod part;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use common::config::{Bastion, Role, Ssh};
use futures_util::future::join_all;
use hosts::observe::{Facts, observe};
use hosts::ssh::Session;
use hosts::{Access as _, AccessError, Action, Change, Plan, Remote};
pub(super) use part::part;
use serde::{Deserialize, Serialize};

use super::connection::Problem;
use super::inventory::Inventory;
use super::secrets::Secrets;
use super::survey::{self, Survey};
use crate::failure::Exit;

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
    /// What it keeps data of.
    #[serde(default)]
    pub(super) data: Vec<Role>,
}

/// A host that leaves.
pub(super) struct Leaver {
    former: Former,
    reach: Reach,
    /// What `plan` says of it.
    plan: Plan,
}

/// How a host that leaves is found.
enum Reach {
    /// It can be entered. With its id in the swarm, where it is in one.
    Entered(Arc<Remote>, Option<String>),
    /// Nobody answers there: why.
    Away(String),
    /// It has nothing of this installation any more; at most its name is left in the swarm.
    Emptied,
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
            data: Role::INFRASTRUCTURE
                .into_iter()
                .filter(|role| machine.roles.contains(role) && inventory.manages(*role))
                .collect(),
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
        // A host is the same under another internal address, and one that was set up anew under its old name is wanted, too.
        let stays = inventory
            .machines
            .iter()
            .zip(&inventory.config.hosts)
            .any(|(machine, host)| {
                let same_way = machine.address == former.address && host.ssh.port == former.ssh.port;
                machine.internal == former.internal || same_way
            });
        if !stays && found.iter().all(|known| known.internal != former.internal) {
            found.push(former.clone());
        }
    }
    found
}

/// Looks for hosts that leave, and at them. What keeps one from leaving is a problem.
pub(super) async fn look(
    inventory: &Inventory,
    told: &[Option<Survey>],
    secrets: &Secrets,
) -> (Vec<Leaver>, Vec<Problem>) {
    let missing = missing(inventory, told);
    if let Some(message) = stranded(&missing, told) {
        let exit = Exit::Preflight;
        return (Vec::new(), vec![Problem { exit, message }]);
    }
    let looked = join_all(missing.into_iter().map(|former| look_at(inventory, former, secrets))).await;
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

/// Why nobody can leave: those that stay are in a swarm that none of them manages, so nobody could let anybody go.
fn stranded(missing: &[Former], told: &[Option<Survey>]) -> Option<String> {
    let swarm = told.iter().flatten().any(|survey| survey.swarm.is_some());
    let names: Vec<&str> = missing.iter().map(|former| former.name.as_str()).collect();
    (!names.is_empty() && swarm && survey::gate(told).is_none()).then(|| {
        format!(
            "nothing was changed: {} cannot leave, because no host that stays and answers manages the swarm; put it back, or bring those back that are away",
            names.join(", ")
        )
    })
}

/// `None`: it is still wanted, under another address.
async fn look_at(inventory: &Inventory, former: Former, secrets: &Secrets) -> Result<Option<Leaver>, Problem> {
    let target = inventory.way(&former.name, &former.address, &former.ssh);
    let session = match Session::connect(&target).await {
        Ok(session) => session,
        Err(error) if error.is_passing() => return away(former, error.to_string()).map(Some),
        Err(error) => return Err(closed(&former, AccessError::from(error))),
    };
    let access = Arc::new(Remote::new(session, &target.name, &target.user));
    let answer = access.root(&survey::script(inventory), Duration::from_secs(20)).await?;
    let survey = Survey::read(&answer.stdout);
    if inventory
        .machines
        .iter()
        .any(|machine| survey.addresses.contains(&machine.internal))
    {
        return Ok(None);
    }
    let ours = survey.marker.as_ref() == Some(&inventory.config.name)
        && secrets.clone().learn(former.internal, &survey.secrets);
    if ours && let Some(message) = keeps(&former, &survey.data) {
        return Err(Problem {
            exit: Exit::Preflight,
            message,
        });
    }
    let data = inventory.config.data_dir.display().to_string();
    let facts = observe(&*access, &[], &data).await?.facts;
    let (reach, what) = if ours {
        let what = "leaves: its applications move, its services end, everything of the platform is removed";
        (Reach::Entered(access, survey.node), what)
    } else {
        (Reach::Emptied, "has left: its name is taken out of the swarm")
    };
    let plan = plan(&former, facts, what);
    Ok(Some(Leaver { former, reach, plan }))
}

/// A host that nobody hears of can be given up, unless it has what cannot begin anew.
fn away(former: Former, why: String) -> Result<Leaver, Problem> {
    if let Some(message) = keeps(&former, &former.data) {
        return Err(Problem {
            exit: Exit::Preflight,
            message,
        });
    }
    let plan = plan(&former, Facts::default(), "is away: its name is taken out of the swarm");
    let reach = Reach::Away(why);
    Ok(Leaver { former, reach, plan })
}

fn closed(former: &Former, error: AccessError) -> Problem {
    let problem = Problem::from(error);
    Problem {
        exit: problem.exit,
        message: format!(
            "nothing was changed: {} is no longer in config.json, but cannot be entered to let it go (`ssh` of config.json says how): {}",
            former.name, problem.message
        ),
    }
}

fn plan(former: &Former, facts: Facts, what: &str) -> Plan {
    Plan {
        host: former.name.clone(),
        facts,
        actions: vec![Action {
            item: 0,
            name: what.to_owned(),
            change: Change::Alter("no longer in config.json".to_owned()),
        }],
        right: 0,
    }
}

/// Why a host cannot leave.
fn keeps(former: &Former, data: &[Role]) -> Option<String> {
    let data = data.iter().filter(|role| Role::LASTING.contains(role));
    let data: Vec<&str> = data.map(|role| role.name()).collect();
    (!data.is_empty()).then(|| {
        format!(
            "nothing was changed: {} is no longer in config.json, but the data of {} is on it; put it back, or move the data first",
            former.name,
            data.join(" and ")
        )
    })
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
        // Another name for the same host is no other host, nor is another address of it.
        let moved = inventory(&format!(
            r#"{A}, {{"name": "b", "connection": "ssh", "address": "b.example.org", "internal_address": "198.51.100.2", "ssh": {{"port": 2222}}}}"#
        ));
        assert!(missing(&moved, &told).is_empty());
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
        let mut all = read(&record(&inventory(&format!("{A}, {B}"))));
        let (b, a) = (all.remove(1), all.remove(0));
        assert_eq!(keeps(&b, &Survey::read("marker iot\n").data), None);
        assert_eq!(keeps(&b, &[Role::Registry]), None, "images are made again");
        let refused = keeps(&b, &Survey::read("data kafka\ndata mongodb\n").data).unwrap();
        assert!(refused.contains("kafka and mongodb"), "{refused}");
        // Whether it answers or not.
        assert!(away(a, "no answer".to_owned()).is_err());
        assert!(away(b, "no answer".to_owned()).is_ok());
    }

    #[test]
    fn nobody_leaves_a_swarm_that_none_who_stays_manages() {
        let gone = read(&record(&inventory(B)));
        let told = |text: &str| [Some(Survey::read(text))];
        assert!(
            stranded(&gone, &told("swarm active false\n"))
                .unwrap()
                .contains("b cannot leave")
        );
        assert_eq!(stranded(&gone, &told("swarm active true abc\n")), None);
        assert_eq!(stranded(&gone, &told("swarm inactive false\n")), None);
        assert_eq!(stranded(&[], &told("swarm active false\n")), None);
    }
}
