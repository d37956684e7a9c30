//! Which host has which broker of a managed Kafka. Pure.

use std::net::Ipv4Addr;

use common::config::Role;

use super::inventory::Inventory;
use super::survey::Survey;

/// What a host says of its broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// The broker's number, which its data belongs to.
    pub(super) id: u32,
    /// All brokers that its settings name, with the addresses of their hosts.
    pub(super) voters: Vec<(u32, Ipv4Addr)>,
}

impl Known {
    /// Reads a number and `number@address:port`, comma separated.
    pub(super) fn read(id: &str, voters: &str) -> Option<Self> {
        let voter = |text: &str| {
            let (id, address) = text.split_once('@')?;
            let (address, _) = address.split_once(':')?;
            Some((id.parse().ok()?, address.parse().ok()?))
        };
        Some(Self {
            id: id.parse().ok()?,
            voters: voters.split(',').filter_map(voter).collect(),
        })
    }
}

/// The brokers by the addresses of their hosts, with the number of each; the lowest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Brokers {
    all: Vec<(u32, Ipv4Addr)>,
    /// The host that makes accounts for all: one that answers.
    leader: Option<Ipv4Addr>,
}

impl Brokers {
    /// Gives every broker its number: the one that its data has, else the one by which the others know its host (it may be away),
    /// else the lowest that is free.
    pub(super) fn number(inventory: &Inventory, told: &[Option<Survey>]) -> Self {
        if !inventory.manages(Role::Kafka) {
            return Self::default();
        }
        let known = |survey: &Survey| survey.kafka.clone();
        let others: Vec<(u32, Ipv4Addr)> = told
            .iter()
            .flatten()
            .filter_map(known)
            .flat_map(|known| known.voters)
            .collect();
        let hosts: Vec<(Ipv4Addr, Option<u32>, bool)> = inventory
            .machines
            .iter()
            .enumerate()
            .filter(|(_, machine)| machine.roles.contains(&Role::Kafka))
            .map(|(index, machine)| {
                let survey = told.get(index).and_then(Option::as_ref);
                let remembered = others.iter().find(|(_, address)| *address == machine.internal);
                let id = survey.and_then(known).map(|known| known.id);
                let id = id.or_else(|| remembered.map(|(id, _)| *id));
                (machine.internal, id, survey.is_some())
            })
            .collect();
        let taken: Vec<u32> = hosts.iter().filter_map(|(_, id, _)| *id).collect();
        let mut free = (1..).filter(|id| !taken.contains(id));
        let mut all: Vec<(u32, Ipv4Addr, bool)> = hosts
            .into_iter()
            .filter_map(|(address, id, answers)| Some((id.or_else(|| free.next())?, address, answers)))
            .collect();
        all.sort_unstable();
        Self {
            leader: all
                .iter()
                .find(|(_, _, answers)| *answers)
                .map(|(_, address, _)| *address),
            all: all.into_iter().map(|(id, address, _)| (id, address)).collect(),
        }
    }

    /// The number of a host's broker, with all of them as `number@address:port`.
    pub(super) fn quorum(&self, own: Ipv4Addr, port: u16) -> Option<(u32, Vec<String>)> {
        let (id, _) = self.all.iter().find(|(_, address)| *address == own)?;
        // A controller that is alone speaks with nobody else.
        let alone = self.all.len() == 1;
        let voters = self.all.iter().map(|(id, address)| {
            let address = if alone { Ipv4Addr::LOCALHOST } else { *address };
            format!("{id}@{address}:{port}")
        });
        Some((*id, voters.collect()))
    }

    /// Where clients find them: `address:port`, comma separated.
    pub(super) fn clients(&self, port: u16) -> String {
        let all = self.all.iter().map(|(_, address)| format!("{address}:{port}"));
        all.collect::<Vec<_>>().join(",")
    }

    /// Whether a host is the one that makes accounts for all.
    pub(super) fn leads(&self, own: Ipv4Addr) -> bool {
        self.leader == Some(own)
    }
}

/// What keeps the brokers from being those that are wanted: their number is chosen once.
pub(super) fn discord(inventory: &Inventory, told: &[Option<Survey>]) -> Vec<String> {
    if !inventory.manages(Role::Kafka) {
        return Vec::new();
    }
    let wanted = inventory
        .machines
        .iter()
        .filter(|machine| machine.roles.contains(&Role::Kafka))
        .count();
    let mut problems = Vec::new();
    let mut ids: Vec<u32> = Vec::new();
    for (machine, survey) in inventory.machines.iter().zip(told) {
        let Some(known) = survey.as_ref().and_then(|survey| survey.kafka.as_ref()) else {
            continue;
        };
        if !known.voters.is_empty() && known.voters.len() != wanted {
            problems.push(format!(
                "{} has data of a Kafka of {of}, and {wanted} brokers are wanted; their number is chosen once: set kafka.replication to {of}",
                machine.name,
                of = known.voters.len()
            ));
        }
        if ids.contains(&known.id) {
            problems.push(format!(
                "{} has the data of broker {}, as another host has",
                machine.name, known.id
            ));
        }
        ids.push(known.id);
    }
    problems
}

#[cfg(test)]
mod tests {
    use common::config::Config;

    use super::*;

    fn inventory(replication: i32) -> Inventory {
        let hosts: Vec<_> = (1..=4)
            .map(|last| serde_json::json!({"connection": "ssh", "address": format!("192.0.2.{last}")}))
            .collect();
        let config = serde_json::json!({"hosts": hosts, "kafka": {"replication": replication}});
        Inventory::new(&Config::parse(&config.to_string()).unwrap()).unwrap()
    }

    fn address(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(192, 0, 2, last)
    }

    /// What hosts say that answer: the number of their data, and how many brokers they know: 1 on the first host, and so on.
    fn told(known: &[Option<(u32, u8)>]) -> Vec<Option<Survey>> {
        let survey = |known: &Option<(u32, u8)>| Survey {
            kafka: known.map(|(id, of)| Known {
                id,
                voters: (1..=of).map(|last| (last.into(), address(last))).collect(),
            }),
            ..Survey::default()
        };
        known.iter().map(survey).map(Some).collect()
    }

    #[test]
    fn what_a_host_says_is_read() {
        let known = Known::read("2", "1@192.0.2.1:9093,2@192.0.2.2:9093").unwrap();
        assert_eq!((known.id, known.voters), (2, vec![(1, address(1)), (2, address(2))]));
        assert_eq!(Known::read("", ""), None);
    }

    #[test]
    fn brokers_keep_their_numbers() {
        let three = inventory(3);
        let own = address(1);
        let fresh = Brokers::number(&three, &told(&[None, None, None, None]));
        let (id, voters) = fresh.quorum(own, 9093).unwrap();
        assert_eq!(id, 1);
        assert_eq!(voters, ["1@192.0.2.1:9093", "2@192.0.2.2:9093", "3@192.0.2.3:9093"]);
        assert_eq!(fresh.clients(9092), "192.0.2.1:9092,192.0.2.2:9092,192.0.2.3:9092");
        assert_eq!(fresh.quorum(address(4), 9093), None);
        assert!(fresh.leads(own) && !fresh.leads(address(2)));
        let one = Brokers::number(&inventory(1), &told(&[None, None, None, None]));
        assert_eq!(one.quorum(own, 9093).unwrap().1, ["1@127.0.0.1:9093"]);
    }

    #[test]
    fn hosts_that_are_away_keep_theirs_too() {
        // Numbers are not in the order of the hosts, and two are away.
        let mut said = told(&[None, None, None, None]);
        let voters = vec![(3, address(1)), (1, address(2)), (2, address(3))];
        said[0].as_mut().unwrap().kafka = Some(Known { id: 3, voters });
        (said[1], said[2]) = (None, None);
        let brokers = Brokers::number(&inventory(3), &said);
        let (id, voters) = brokers.quorum(address(1), 9093).unwrap();
        assert_eq!(
            (id, voters.join(" ").as_str()),
            (3, "1@192.0.2.2:9093 2@192.0.2.3:9093 3@192.0.2.1:9093")
        );
        // Accounts are made where somebody is.
        assert!(brokers.leads(address(1)));
    }

    #[test]
    fn a_host_in_the_place_of_a_lost_one_takes_its_number() {
        let mut said = told(&[Some((1, 3)), None, Some((3, 3)), None]);
        let lost = vec![(1, address(1)), (2, address(9)), (3, address(3))];
        for index in [0, 2] {
            said[index]
                .as_mut()
                .unwrap()
                .kafka
                .as_mut()
                .unwrap()
                .voters
                .clone_from(&lost);
        }
        let brokers = Brokers::number(&inventory(3), &said);
        assert_eq!(brokers.quorum(address(2), 9093).unwrap().0, 2);
    }

    #[test]
    fn the_number_of_brokers_is_chosen_once() {
        assert!(
            discord(&inventory(3), &told(&[Some((1, 3)), None, None, None])).is_empty(),
            "interrupted"
        );
        assert!(discord(&inventory(1), &told(&[Some((1, 1)), None, None, None])).is_empty());
        let more = discord(&inventory(3), &told(&[Some((1, 1)), None, None, None]));
        assert!(more[0].contains("set kafka.replication to 1"), "{more:?}");
        assert_eq!(
            discord(&inventory(3), &told(&[Some((1, 3)), Some((1, 3)), None, None])).len(),
            1
        );
        let config = r#"{"hosts": [{"connection": "ssh", "address": "192.0.2.1"}], "kafka": {"mode": "external", "brokers": "x:1"}}"#;
        let external = Inventory::new(&Config::parse(config).unwrap()).unwrap();
        assert!(
            discord(&external, &told(&[Some((1, 3))])).is_empty(),
            "old data of a Kafka that is not wanted"
        );
    }
}
