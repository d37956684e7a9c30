//! What hosts say of the database: one server or a replica set, and of whom.

use std::net::Ipv4Addr;

use common::config::Role;

use super::Survey;
use crate::fleet::inventory::Inventory;
use crate::fleet::items::members;

/// Which database there is, is chosen once: one server and a replica set do not read each other's files, and members know each other by address.
pub(super) fn another(inventory: &Inventory, told: &[Option<Survey>]) -> Vec<String> {
    if !inventory.manages(Role::Mongodb) {
        return Vec::new();
    }
    let several = inventory.config.has_replica_set();
    let wanted = if several { members(inventory) } else { Vec::new() };
    let all = inventory.machines.iter().zip(told);
    let other = all.filter_map(|(machine, survey)| {
        let found = survey.as_ref()?.replica_set.as_ref()?;
        let what = match (found.is_empty(), several) {
            (true, true) => "one MongoDB; that is chosen once: set mongodb.replication to 1".to_owned(),
            (false, false) => "a MongoDB of three; that is chosen once: set mongodb.replication to 3".to_owned(),
            (false, true) if *found != wanted => format!(
                "a MongoDB of {}, and {} are wanted; addresses and port of the members are chosen once",
                found.join(", "),
                wanted.join(", ")
            ),
            _ => return None,
        };
        Some(format!("{} has data of {what}", machine.name))
    });
    other.collect()
}

/// Members of a replica set that could not be asked where it is to begin: that it does with all of them.
pub(super) fn absent_members(inventory: &Inventory, told: &[Option<Survey>]) -> Vec<String> {
    if !inventory.manages(Role::Mongodb) || !inventory.config.has_replica_set() {
        return Vec::new();
    }
    let all = inventory.machines.iter().zip(told);
    let members = all.filter(|(machine, _)| machine.roles.contains(&Role::Mongodb));
    let has_data = |survey: &Survey| survey.data.contains(&Role::Mongodb);
    if members.clone().any(|(_, survey)| survey.as_ref().is_some_and(has_data)) {
        return Vec::new();
    }
    let absent = members.filter(|(_, survey)| survey.is_none());
    let say = |name: &str| format!("a replica set begins with all its members, and {name} cannot be asked");
    absent.map(|(machine, _)| say(&machine.name)).collect()
}

/// The host that makes the replica set and its accounts: the first member that answers.
pub(in crate::fleet) fn leader(inventory: &Inventory, told: &[Option<Survey>]) -> Option<Ipv4Addr> {
    let all = inventory.machines.iter().zip(told);
    let mut members = all.filter(|(machine, survey)| machine.roles.contains(&Role::Mongodb) && survey.is_some());
    members.next().map(|(machine, _)| machine.internal)
}

#[cfg(test)]
mod tests {
    use common::config::Config;

    use super::*;

    fn of(replication: usize) -> Inventory {
        let hosts: Vec<_> = (1..=3)
            .map(|last| serde_json::json!({"connection": "ssh", "address": format!("192.0.2.{last}")}))
            .collect();
        let config = serde_json::json!({"hosts": hosts, "mongodb": {"replication": replication}});
        Inventory::new(&Config::parse(&config.to_string()).unwrap()).unwrap()
    }

    fn said(text: &str) -> Option<Survey> {
        Some(Survey::read(text))
    }

    #[test]
    fn which_mongodb_there_is_is_chosen_once() {
        let (one, several) = (
            said("data mongodb"),
            said("data mongodb 192.0.2.1:27017,192.0.2.2:27017,192.0.2.3:27017"),
        );
        assert!(another(&of(1), &[one.clone(), None, None]).is_empty());
        assert!(another(&of(3), &[several.clone(), None, said("data kafka")]).is_empty());
        assert!(another(&of(3), &[one, None, None])[0].contains("set mongodb.replication to 1"));
        assert!(another(&of(1), &[several, None, None])[0].contains("set mongodb.replication to 3"));
        let moved = said("data mongodb 192.0.2.1:27018,192.0.2.2:27018,192.0.2.3:27018");
        assert!(another(&of(3), &[moved, None, None])[0].contains("192.0.2.1:27017"));
    }

    #[test]
    fn a_set_begins_with_all_its_members_and_goes_on_without_one() {
        let (fresh, begun) = (said(""), said("data mongodb 192.0.2.1:27017"));
        let absent = absent_members(&of(3), &[fresh.clone(), None, fresh.clone()]);
        assert!(absent.len() == 1 && absent[0].contains("192.0.2.2"), "{absent:?}");
        assert!(absent_members(&of(3), &[fresh.clone(), fresh.clone(), fresh.clone()]).is_empty());
        assert!(absent_members(&of(3), &[begun, None, fresh.clone()]).is_empty());
        assert!(absent_members(&of(1), &[fresh.clone(), None, fresh]).is_empty());
    }

    #[test]
    fn the_first_member_that_answers_makes_the_set() {
        let leader = |told: [Option<Survey>; 3]| leader(&of(3), &told);
        assert_eq!(
            leader([said(""), said(""), said("")]),
            Some(Ipv4Addr::new(192, 0, 2, 1))
        );
        assert_eq!(leader([None, said(""), said("")]), Some(Ipv4Addr::new(192, 0, 2, 2)));
        assert_eq!(leader([None, None, None]), None);
    }
}
