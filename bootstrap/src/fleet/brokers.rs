//! Which host has which broker of a managed Kafka. Pure.

use std::net::Ipv4Addr;

use common::config::{Mode, Role};

use super::inventory::Inventory;
use super::survey::Survey;

/// What a host says of its broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    /// The broker's number, which its data belongs to.
    pub(super) id: u32,
    /// How many brokers its settings name.
    pub(super) of: usize,
}

/// The brokers by the addresses of their hosts, with the number of each; the lowest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Brokers(Vec<(u32, Ipv4Addr)>);

impl Brokers {
    /// Gives every broker its number: the one that its data has, else the lowest that is free.
    pub(super) fn number(inventory: &Inventory, told: &[Option<Survey>]) -> Self {
        if inventory.config.kafka.mode == Mode::External {
            return Self::default();
        }
        let hosts: Vec<(Ipv4Addr, Option<u32>)> = inventory
            .machines
            .iter()
            .zip(told.iter().map(Some).chain(std::iter::repeat(None)))
            .filter(|(machine, _)| machine.roles.contains(&Role::Kafka))
            .map(|(machine, survey)| {
                let known = survey.and_then(Option::as_ref).and_then(|survey| survey.kafka);
                (machine.internal, known.map(|known| known.id))
            })
            .collect();
        let taken: Vec<u32> = hosts.iter().filter_map(|(_, id)| *id).collect();
        let mut free = (1..).filter(|id| !taken.contains(id));
        let mut all: Vec<(u32, Ipv4Addr)> = hosts
            .iter()
            .filter_map(|(address, id)| Some((id.or_else(|| free.next())?, *address)))
            .collect();
        all.sort_unstable();
        Self(all)
    }

    /// The number of a host's broker, with all of them as `number@address:port`.
    pub(super) fn quorum(&self, own: Ipv4Addr, port: u16) -> Option<(u32, Vec<String>)> {
        let (id, _) = self.0.iter().find(|(_, address)| *address == own)?;
        // A controller that is alone speaks with nobody else.
        let alone = self.0.len() == 1;
        let voters = self.0.iter().map(|(id, address)| {
            let address = if alone { Ipv4Addr::LOCALHOST } else { *address };
            format!("{id}@{address}:{port}")
        });
        Some((*id, voters.collect()))
    }

    /// Where clients find them: `address:port`, comma separated.
    pub(super) fn clients(&self, port: u16) -> String {
        let all = self.0.iter().map(|(_, address)| format!("{address}:{port}"));
        all.collect::<Vec<_>>().join(",")
    }

    /// Whether a host is the one that makes accounts for all.
    pub(super) fn leads(&self, own: Ipv4Addr) -> bool {
        self.0.first().is_some_and(|(_, address)| *address == own)
    }
}

/// What keeps the brokers from being those that are wanted: their number is chosen once.
pub(super) fn discord(inventory: &Inventory, told: &[Option<Survey>]) -> Vec<String> {
    let wanted = inventory
        .machines
        .iter()
        .filter(|machine| machine.roles.contains(&Role::Kafka))
        .count();
    let mut problems = Vec::new();
    let mut ids: Vec<u32> = Vec::new();
    for (machine, survey) in inventory.machines.iter().zip(told) {
        let Some(known) = survey.as_ref().and_then(|survey| survey.kafka) else {
            continue;
        };
        if known.of > 0 && known.of != wanted {
            problems.push(format!(
                "{} has data of a Kafka of {of}, and {wanted} brokers are wanted; their number is chosen once: set kafka.replication to {of}",
                machine.name,
                of = known.of
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

    fn told(known: &[Option<(u32, usize)>]) -> Vec<Option<Survey>> {
        let survey = |known: &Option<(u32, usize)>| Survey {
            kafka: known.map(|(id, of)| Known { id, of }),
            ..Survey::default()
        };
        known.iter().map(survey).map(Some).collect()
    }

    #[test]
    fn brokers_keep_their_numbers() {
        let three = inventory(3);
        let own = Ipv4Addr::new(192, 0, 2, 1);
        let fresh = Brokers::number(&three, &told(&[None, None, None, None]));
        let (id, voters) = fresh.quorum(own, 9093).unwrap();
        assert_eq!(id, 1);
        assert_eq!(voters, ["1@192.0.2.1:9093", "2@192.0.2.2:9093", "3@192.0.2.3:9093"]);
        assert_eq!(fresh.clients(9092), "192.0.2.1:9092,192.0.2.2:9092,192.0.2.3:9092");
        assert_eq!(fresh.quorum(Ipv4Addr::new(192, 0, 2, 4), 9093), None);
        // Hosts were put into another order, and one is away.
        let mut other = told(&[Some((3, 3)), None, Some((1, 3)), None]);
        other[1] = None;
        let kept = Brokers::number(&three, &other);
        assert_eq!(kept.quorum(own, 9093).unwrap().0, 3);
        assert!(!kept.leads(own) && kept.leads(Ipv4Addr::new(192, 0, 2, 3)));
        let one = Brokers::number(&inventory(1), &told(&[None, None, None, None]));
        assert_eq!(one.quorum(own, 9093).unwrap().1, ["1@127.0.0.1:9093"]);
    }

    #[test]
    fn the_number_of_brokers_is_chosen_once() {
        assert!(
            discord(&inventory(3), &told(&[Some((1, 3)), None, None, None])).is_empty(),
            "interrupted"
        );
        assert!(discord(&inventory(1), &told(&[Some((1, 1)), None, None, None])).is_empty());
        let more = discord(&inventory(3), &told(&[Some((1, 1)), None, None, None]));
        assert!(more[0].contains("set kafka.replication"), "{more:?}");
        assert_eq!(
            discord(&inventory(3), &told(&[Some((1, 3)), Some((1, 3)), None, None])).len(),
            1
        );
    }
}
