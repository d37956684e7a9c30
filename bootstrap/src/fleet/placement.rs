//! Which host runs what. Pure.

use std::collections::BTreeSet;

use common::config::{Host, Role};

/// Hosts that manage the swarm: an odd number, so that the loss of one of three leaves a majority.
pub(super) fn managers(hosts: usize) -> usize {
    if hosts >= 3 { 3 } else { 1 }
}

/// What each host runs, with so many brokers of Kafka. What no host names is spread over the hosts that name nothing: infrastructure to the first of them,
/// services one after the other from there on.
pub(super) fn place(hosts: &[Host], brokers: usize) -> Result<Vec<BTreeSet<Role>>, String> {
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
        let copies = if role == Role::Kafka { brokers } else { 1 };
        for copy in 0..copies {
            put(role, free.get(copy))?;
        }
    }
    let managers = managers(hosts.len());
    for (turn, role) in Role::SERVICES
        .into_iter()
        .filter(|role| !named.contains(role))
        .enumerate()
    {
        if role == Role::Deployer {
            let able: Vec<&usize> = free.iter().filter(|index| **index < managers).collect();
            put(role, able.get(turn % able.len().max(1)).copied())?;
        } else {
            put(role, free.get(turn % free.len().max(1)))?;
        }
    }
    Ok(placed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(hosts: &[Host]) -> Vec<Vec<&'static str>> {
        let placed = place(hosts, 1).unwrap();
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
        assert!(place(&[only(&[])], 1).is_err());
        assert!(
            place(&[nothing.clone(), nothing], 3).is_err(),
            "three brokers on two hosts"
        );
    }

    #[test]
    fn everything_runs_exactly_once_and_the_deployer_at_a_manager() {
        for count in 1..12 {
            let placed = place(&vec![Host::default(); count], 1).unwrap();
            let all: Vec<Role> = placed.iter().flatten().copied().collect();
            assert_eq!(all.len(), Role::SERVICES.len() + Role::INFRASTRUCTURE.len());
            let deployer = placed.iter().position(|roles| roles.contains(&Role::Deployer));
            assert!(deployer.unwrap() < managers(count), "{count} hosts");
        }
    }
}
