//! Which host runs what. Pure.

use std::collections::BTreeSet;

use common::config::{Host, Role};

/// Hosts that manage the swarm: an odd number, so that the loss of one of three leaves a majority.
pub(super) fn managers(hosts: usize) -> usize {
    if hosts >= 3 { 3 } else { 1 }
}

/// How many there are of what may run more than once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copies {
    /// Brokers of Kafka.
    pub(super) brokers: usize,
    /// Servers of MongoDB.
    pub(super) databases: usize,
    /// Of each service that no host names; none: as many as is good for so many hosts.
    pub(super) services: Option<usize>,
}

/// What each host runs. What no host names is spread over the hosts that name nothing: infrastructure to the first of them,
/// services one after the other from there on, their copies to the hosts that follow.
pub(super) fn place(hosts: &[Host], copies: Copies) -> Result<Vec<BTreeSet<Role>>, String> {
    let mut placed: Vec<BTreeSet<Role>> = hosts
        .iter()
        .map(|host| host.services.iter().flatten().copied().collect())
        .collect();
    let named: BTreeSet<Role> = placed.iter().flatten().copied().collect();
    let free: Vec<usize> = (0..hosts.len())
        .filter(|index| hosts.get(*index).is_some_and(|host| host.services.is_none()))
        .collect();
    let mut put = |role: Role, index: Option<&usize>| match index.and_then(|index| placed.get_mut(*index)) {
        Some(host) => {
            host.insert(role);
            Ok(())
        }
        None => Err(format!(
            "no host is left for {}; name it in `services` of one",
            role.name()
        )),
    };
    for role in Role::INFRASTRUCTURE.into_iter().filter(|role| !named.contains(role)) {
        let copies = match role {
            Role::Kafka => copies.brokers,
            Role::Mongodb => copies.databases,
            _ => 1,
        };
        for copy in 0..copies {
            put(role, free.get(copy))?;
        }
    }
    let managers = managers(hosts.len());
    let able: Vec<usize> = free.iter().copied().filter(|index| *index < managers).collect();
    for (turn, role) in Role::SERVICES
        .into_iter()
        .filter(|role| !named.contains(role))
        .enumerate()
    {
        let hosts = if role == Role::Deployer { &able } else { &free };
        let wanted = copies.services.unwrap_or(2);
        if copies.services.is_some() && free.len() < wanted {
            let (role, left) = (role.name(), free.len());
            return Err(format!(
                "`copies` is {wanted}, and {left} hosts are left for the {role}"
            ));
        }
        for copy in 0..wanted.min(hosts.len()).max(1) {
            put(role, hosts.get((turn + copy) % hosts.len().max(1)))?;
        }
    }
    Ok(placed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: Copies = Copies {
        brokers: 1,
        databases: 1,
        services: None,
    };

    fn spread(hosts: &[Host]) -> Vec<Vec<&'static str>> {
        let placed = place(hosts, DEFAULT).unwrap();
        placed
            .iter()
            .map(|roles| roles.iter().map(|role| role.name()).collect())
            .collect()
    }

    #[test]
    fn hosts_that_name_nothing_share_what_is_left() {
        let nothing = Host::default();
        let only = |roles: &[Role]| Host {
            services: Some(roles.to_vec()),
            ..Host::default()
        };
        insta::assert_debug_snapshot!([
            spread(std::slice::from_ref(&nothing)),
            spread(&[nothing.clone(), nothing.clone(), nothing.clone()]),
            spread(&[
                only(&[Role::Kafka, Role::Mongodb, Role::Registry]),
                nothing.clone(),
                nothing.clone()
            ]),
            spread(&vec![nothing.clone(); 5]),
        ]);
        assert!(place(&[only(&[])], DEFAULT).is_err());
        let brokers = Copies { brokers: 3, ..DEFAULT };
        let two = [nothing.clone(), nothing];
        assert!(place(&two, brokers).is_err(), "three brokers on two hosts");
        let services = Some(3);
        assert!(
            place(&two, Copies { services, ..DEFAULT }).is_err(),
            "three copies on two hosts"
        );
    }

    #[test]
    fn every_service_runs_as_often_as_said_on_hosts_of_its_own_and_the_deployer_at_managers() {
        for (count, services) in [(1, None), (2, None), (3, None), (11, None), (3, Some(1)), (4, Some(3))] {
            let placed = place(&vec![Host::default(); count], Copies { services, ..DEFAULT }).unwrap();
            let copies = services.unwrap_or(2).min(count);
            for role in Role::SERVICES {
                // Of two hosts only one manages the swarm: the loss of either of two managers would end it.
                let copies = if role == Role::Deployer {
                    copies.min(managers(count))
                } else {
                    copies
                };
                let on: Vec<usize> = (0..count).filter(|index| placed[*index].contains(&role)).collect();
                assert_eq!(on.len(), copies, "{role:?} on {count} hosts");
                assert!(role != Role::Deployer || on.iter().all(|index| *index < managers(count)));
            }
            for role in Role::INFRASTRUCTURE {
                assert_eq!(placed.iter().filter(|roles| roles.contains(&role)).count(), 1);
            }
            let most = placed.iter().map(|roles| roles.len()).max().unwrap();
            assert!(most <= Role::SERVICES.len() + Role::INFRASTRUCTURE.len());
        }
    }
}
