//! What the hosts say before anything is decided: whose they are, what data lies where, which swarm they are in. Pure but for the script.

mod databases;

use std::net::Ipv4Addr;

use common::config::Role;

pub(super) use self::databases::leader as database_leader;
use super::brokers::{self, Known};
use super::inventory::Inventory;
use super::items::RESTORING;
use super::leaving::{self, Former};

/// What one host said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Survey {
    /// Name of the installation that its data folder belongs to.
    pub(super) marker: Option<String>,
    /// Whether the data folder is there with something in it.
    pub(super) full: bool,
    /// What it has data of.
    pub(super) data: Vec<Role>,
    /// The members of its replica set, where it has data of MongoDB; of one server none.
    pub(super) replica_set: Option<Vec<String>>,
    /// The backup that it is being made from.
    pub(super) restoring: Option<String>,
    /// Its broker of Kafka, where it has the data of one.
    pub(super) kafka: Option<Known>,
    /// Id of the swarm that it is in, and whether it manages it.
    pub(super) swarm: Option<(String, bool)>,
    /// Its id in that swarm.
    pub(super) node: Option<String>,
    /// Its addresses.
    pub(super) addresses: Vec<Ipv4Addr>,
    /// The hosts of the last `up` that reached it.
    pub(super) hosts: Vec<Former>,
    /// Its secrets: a line each.
    pub(super) secrets: String,
}

/// The script that asks.
pub(super) fn script(inventory: &Inventory) -> String {
    let data = inventory.config.data_dir.display();
    let secrets = crate::fleet::secrets::script(&data.to_string());
    format!(
        "export PATH=\"$PATH:/usr/sbin:/sbin\"
echo \"marker $(cat {data}/installation 2>/dev/null)\"
[ -z \"$(ls -A {data} 2>/dev/null | grep -vx installation.new)\" ] || echo full
[ ! -e {data}/postgresql/postmaster.opts ] || echo data mongodb
[ ! -e {data}/mongodb/data/WiredTiger ] || echo \"data mongodb $(cat {data}/mongodb/members 2>/dev/null)\"
[ ! -e {data}/kafka/data/meta.properties ] || echo data kafka
echo \"restoring $(cat {data}/{RESTORING} 2>/dev/null)\"
echo \"kafka $(sed -n 's/^node.id=//p' {data}/kafka/data/meta.properties 2>/dev/null) $(cat {data}/secrets/kafka.properties {data}/etc/kafka.properties 2>/dev/null | grep -m1 '^controller.quorum.voters=' | cut -d= -f2)\"
[ ! -e {data}/registry/docker ] || echo data registry
echo \"swarm $(docker info --format '{{{{.Swarm.LocalNodeState}}}} {{{{.Swarm.ControlAvailable}}}} {{{{if .Swarm.Cluster}}}}{{{{.Swarm.Cluster.ID}}}}{{{{end}}}}' 2>/dev/null)\"
echo \"node $(docker info --format '{{{{.Swarm.NodeID}}}}' 2>/dev/null)\"
ip -4 -o addr 2>/dev/null | sed -n 's|.* inet \\([0-9.]*\\)/.*|address \\1|p'
echo \"hosts $(cat {data}/etc/hosts.json 2>/dev/null)\"
echo secrets
{secrets}"
    )
}

impl Survey {
    /// Reads the answer.
    pub(super) fn read(said: &str) -> Self {
        let (facts, secrets) = said.split_once("secrets\n").unwrap_or((said, ""));
        let mut survey = Self {
            secrets: secrets.to_owned(),
            ..Self::default()
        };
        for line in facts.lines() {
            if let Some(known) = line.strip_prefix("hosts ") {
                survey.hosts = leaving::read(known);
            }
            match line.split_whitespace().collect::<Vec<_>>().as_slice() {
                ["marker", name] => survey.marker = Some((*name).to_owned()),
                ["full"] => survey.full = true,
                ["data", role, members @ ..] => {
                    let known = Role::INFRASTRUCTURE.iter().find(|known| known.name() == *role);
                    survey.data.extend(known);
                    if known == Some(&Role::Mongodb) {
                        let members = members.iter().flat_map(|list| list.split(','));
                        survey.replica_set = Some(members.map(str::to_owned).collect());
                    }
                }
                ["restoring", backup] => survey.restoring = Some((*backup).to_owned()),
                ["kafka", id, voters] => survey.kafka = Known::read(id, voters),
                ["swarm", "active", manages, id @ ..] => {
                    survey.swarm = Some((id.concat(), *manages == "true"));
                }
                ["node", id] => survey.node = Some((*id).to_owned()),
                ["address", address] => survey.addresses.extend(address.parse::<Ipv4Addr>()),
                _ => {}
            }
        }
        survey
    }
}

/// What keeps a single host from being used.
pub(super) fn unusable(inventory: &Inventory, internal: Ipv4Addr, survey: &Survey) -> Vec<String> {
    let (mut problems, config) = (Vec::new(), &inventory.config);
    let data = config.data_dir.display();
    match &survey.marker {
        Some(name) if *name != config.name => {
            problems.push(format!(
                "{data} belongs to the installation `{name}`; choose another data_dir, or remove that one"
            ));
        }
        None if survey.full => problems.push(format!("{data} is not empty and not ours; choose another data_dir")),
        _ => {}
    }
    if !survey.addresses.is_empty() && !survey.addresses.contains(&internal) {
        let own: Vec<String> = survey.addresses.iter().map(ToString::to_string).collect();
        problems.push(format!(
            "{internal} is not an address of it (it has {}); say which in `internal_address`",
            own.join(", ")
        ));
    }
    problems
}

/// What keeps hosts from becoming what a backup has: each must be asked, and have no data but of that backup. Where one is being made from it, all
/// are: the first `restore` wanted hosts without data, and may have ended while the marks were taken away.
pub(super) fn in_the_way(inventory: &Inventory, told: &[Option<Survey>], backup: &str) -> Vec<String> {
    let name = &inventory.config.name;
    let goes_on = told
        .iter()
        .flatten()
        .any(|survey| survey.restoring.as_deref() == Some(backup));
    let all = inventory.machines.iter().zip(told);
    let problem = all.filter_map(|(machine, survey)| match survey {
        None => Some(format!("{} cannot be asked, and every host must be", machine.name)),
        Some(survey) if survey.data.is_empty() || goes_on => None,
        Some(_) => Some(format!(
            "{} has data of `{name}`; remove it first: down --delete-data",
            machine.name
        )),
    });
    problem.collect()
}

/// Hosts that are half of what a backup has: `up` would begin anew on the other half.
pub(super) fn half_restored(inventory: &Inventory, told: &[Option<Survey>]) -> Vec<String> {
    let all = inventory.machines.iter().zip(told);
    let half = all.filter(|(_, survey)| survey.as_ref().is_some_and(|survey| survey.restoring.is_some()));
    let say = |name: &str| {
        format!("{name} is being made from a backup; run `restore` with it again, or begin anew: down --delete-data")
    };
    half.map(|(machine, _)| say(&machine.name)).collect()
}

/// Whether every host with a broker was asked, and none has data: Kafka begins, or begins anew because its data was lost.
pub(super) fn kafka_begins(inventory: &Inventory, told: &[Option<Survey>]) -> bool {
    let all = inventory.machines.iter().zip(told);
    let brokers: Vec<_> = all
        .filter(|(machine, _)| machine.roles.contains(&Role::Kafka))
        .collect();
    let empty = |survey: &Survey| !survey.data.contains(&Role::Kafka);
    inventory.manages(Role::Kafka) && brokers.iter().all(|(_, survey)| survey.as_ref().is_some_and(empty))
}

/// What keeps all of them from being used together. `told` is what each host said, where it answered.
pub(super) fn discord(inventory: &Inventory, told: &[Option<Survey>]) -> Vec<String> {
    let mut problems = brokers::discord(inventory, told);
    problems.extend(databases::another(inventory, told));
    problems.extend(databases::absent_members(inventory, told));
    for role in Role::LASTING.into_iter().filter(|role| inventory.manages(*role)) {
        let runs = |index: &usize| {
            let machine = inventory.machines.get(*index);
            machine.is_some_and(|machine| machine.roles.contains(&role))
        };
        let wanted: Vec<usize> = (0..inventory.machines.len()).filter(runs).collect();
        let has = |index: usize| {
            told.get(index)
                .and_then(Option::as_ref)
                .is_some_and(|survey| survey.data.contains(&role))
        };
        let elsewhere = (0..told.len()).find(|index| !wanted.contains(index) && has(*index));
        let begins = wanted.iter().copied().find(|index| !has(*index));
        if let (Some(at), Some(elsewhere)) = (begins, elsewhere) {
            let name = |index: usize| inventory.machines.get(index).map_or("", |machine| &machine.name);
            problems.push(format!(
                "the data of {} is on {}, and it would begin anew on {}: name it in `services` of {1}, or move the data first",
                role.name(),
                name(elsewhere),
                name(at)
            ));
        }
    }
    let mut swarms: Vec<&String> = told
        .iter()
        .flatten()
        .filter_map(|survey| survey.swarm.as_ref())
        .filter(|(id, _)| !id.is_empty())
        .map(|(id, _)| id)
        .collect();
    swarms.sort();
    swarms.dedup();
    if swarms.len() > 1 {
        problems.push(
            "the hosts are in different swarms; `docker swarm leave --force` on those that shall join the others"
                .to_owned(),
        );
    }
    problems
}

/// The host that lets others into the swarm: one that manages it already. None: the swarm begins with the first host.
pub(super) fn gate(told: &[Option<Survey>]) -> Option<usize> {
    told.iter().position(|survey| {
        let swarm = survey.as_ref().and_then(|survey| survey.swarm.as_ref());
        swarm.is_some_and(|(_, manages)| *manages)
    })
}

#[cfg(test)]
mod tests {
    use common::config::Config;

    use super::*;

    fn inventory() -> Inventory {
        let config = r#"{"hosts": [{"connection": "ssh", "address": "192.0.2.1"}, {"connection": "ssh", "address": "192.0.2.2"}]}"#;
        Inventory::new(&Config::parse(config).unwrap()).unwrap()
    }

    fn said(text: &str) -> Option<Survey> {
        Some(Survey::read(text))
    }

    #[test]
    fn an_answer_is_read() {
        let survey = Survey::read(
            "marker iot\nfull\ndata kafka\nrestoring abc\nkafka 2 1@192.0.2.1:9093,2@192.0.2.2:9093\nswarm active true abc\naddress 192.0.2.1\nsecrets\ntoken.key k\n",
        );
        let wanted = Survey {
            marker: Some("iot".to_owned()),
            full: true,
            data: vec![Role::Kafka],
            replica_set: None,
            restoring: Some("abc".to_owned()),
            kafka: Known::read("2", "1@192.0.2.1:9093,2@192.0.2.2:9093"),
            swarm: Some(("abc".to_owned(), true)),
            addresses: vec![Ipv4Addr::new(192, 0, 2, 1)],
            node: None,
            hosts: Vec::new(),
            secrets: "token.key k\n".to_owned(),
        };
        assert_eq!(survey, wanted);
        assert_eq!(
            Survey::read("marker \nrestoring \nkafka  \nswarm inactive false \nsecrets\n"),
            Survey::default()
        );
    }

    #[test]
    fn a_backup_needs_hosts_without_data_or_goes_on() {
        let told = [
            said("data kafka\nsecrets\n"),
            said("data mongodb\nrestoring abc\nsecrets\n"),
        ];
        assert!(in_the_way(&inventory(), &told, "abc").is_empty());
        let problems = in_the_way(&inventory(), &told, "other");
        assert!(
            problems.len() == 2 && problems[0].contains("down --delete-data"),
            "{problems:?}"
        );
        let away = in_the_way(&inventory(), &[None, said("secrets\n")], "abc");
        assert!(away.len() == 1 && away[0].contains("cannot be asked"), "{away:?}");
        assert_eq!(half_restored(&inventory(), &told).len(), 1);
        assert!(half_restored(&inventory(), &[None, said("restoring \nsecrets\n")]).is_empty());
    }

    #[test]
    fn kafka_begins_where_every_broker_was_asked_and_none_has_data() {
        let inventory = inventory();
        assert!(kafka_begins(&inventory, &[said("data mongodb\nsecrets\n"), None]));
        assert!(!kafka_begins(&inventory, &[said("data kafka\nsecrets\n"), None]));
        assert!(!kafka_begins(&inventory, &[None, None]));
    }

    #[test]
    fn what_belongs_to_others_is_left_alone() {
        let (inventory, own) = (inventory(), Ipv4Addr::new(192, 0, 2, 1));
        let problems = |text: &str| unusable(&inventory, own, &Survey::read(text));
        assert!(problems("marker iot\nfull\naddress 192.0.2.1\n").is_empty());
        assert!(problems("marker \n").is_empty());
        assert!(problems("marker plant\nfull\n")[0].contains("`plant`"));
        assert!(problems("marker \nfull\n")[0].contains("not empty"));
        assert!(problems("address 10.0.0.7\n")[0].contains("internal_address"));
    }

    #[test]
    fn data_does_not_begin_anew_on_another_host() {
        let inventory = inventory();
        let none = said("");
        assert!(discord(&inventory, &[none.clone(), none.clone()]).is_empty());
        assert!(discord(&inventory, &[said("data kafka"), none.clone()]).is_empty());
        let moved = discord(&inventory, &[none.clone(), said("data kafka")]);
        assert!(moved[0].contains("the data of kafka is on 192.0.2.2"), "{moved:?}");
        assert_eq!(
            discord(&inventory, &[said("swarm active true a"), said("swarm active true b")]).len(),
            1
        );
        assert!(discord(&inventory, &[said("swarm active true a"), said("swarm active false")]).is_empty());
    }

    #[test]
    fn whoever_manages_the_swarm_lets_others_in() {
        assert_eq!(
            gate(&[said("swarm inactive false"), None, said("swarm active true a")]),
            Some(2)
        );
        assert_eq!(gate(&[said("swarm active false"), None]), None);
    }
}
