//! What there is to do on a host. Pure.

use std::fmt;

use crate::item::{Item, Kind};
use crate::observe::{Facts, Found, Observed};

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// Place of the item in the list.
    pub item: usize,
    /// What people call it.
    pub name: String,
    /// What is to be done.
    pub change: Change,
}

/// What is to be done with an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is not there.
    Make,
    /// It is there, but different: in what.
    Alter(String),
}

/// The difference between what a host shall have and what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The host as people call it.
    pub host: String,
    /// What it is.
    pub facts: Facts,
    /// What is to be done, in order.
    pub actions: Vec<Action>,
    /// How many items are as they shall be.
    pub right: usize,
}

impl Plan {
    /// Decides it.
    #[must_use]
    pub fn decide(host: &str, items: &[Item], observed: Observed) -> Self {
        let actions: Vec<Action> = items
            .iter()
            .zip(observed.found)
            .enumerate()
            .filter_map(|(index, (item, found))| {
                let change = match found {
                    Found::Right => return None,
                    Found::Absent => Change::Make,
                    Found::Different(why) => Change::Alter(why),
                };
                Some(Action {
                    item: index,
                    name: item.name.clone(),
                    change,
                })
            })
            .collect();
        Self {
            host: host.to_owned(),
            facts: observed.facts,
            right: items.len() - actions.len(),
            actions,
        }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = &self.facts;
        if *facts == Facts::default() {
            writeln!(f, "{} (does not answer)", self.host)?;
        } else {
            writeln!(
                f,
                "{} ({}, {}, {} processors, {} MiB memory, {} MiB free)",
                self.host, facts.system, facts.architecture, facts.processors, facts.memory_mib, facts.free_mib
            )?;
        }
        for action in &self.actions {
            match &action.change {
                Change::Make => writeln!(f, "  + {}", action.name)?,
                Change::Alter(why) => writeln!(f, "  ~ {} ({why})", action.name)?,
            }
        }
        match (self.actions.is_empty(), self.right) {
            (true, right) => writeln!(f, "  = nothing to do: {right} items are as they shall be"),
            (false, right) => writeln!(f, "  = {right} more are as they shall be"),
        }
    }
}

/// Why a machine cannot be used; none when it can.
#[must_use]
pub fn unusable(facts: &Facts, items: &[Item], needed_mib: u64, clock: i64) -> Vec<String> {
    let mut problems = Vec::new();
    if !facts.systemd {
        problems.push("systemd does not run it".to_owned());
    }
    if facts.packages.is_none() && items.iter().any(|item| matches!(item.kind, Kind::Packages(_))) {
        problems.push(format!(
            "{} has no package manager that is known; allowed: Debian, Ubuntu, Amazon Linux 2023, and what is like Fedora or Red Hat",
            facts.system
        ));
    }
    if facts.free_mib < needed_mib {
        problems.push(format!(
            "{} MiB are free for data, {needed_mib} MiB are needed",
            facts.free_mib
        ));
    }
    let skew = (facts.clock - clock).abs();
    if skew > 60 {
        problems.push(format!(
            "its clock is {skew} s away from this machine's; let chrony or systemd-timesyncd set it"
        ));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::Content;

    fn items() -> Vec<Item> {
        let file = |path: &str| {
            Item::new(
                format!("file {path}"),
                Kind::File {
                    path: path.to_owned(),
                    owner: "root".to_owned(),
                    mode: 0o644,
                    content: Content::Text("x".to_owned()),
                },
            )
        };
        vec![file("/etc/a"), file("/etc/b"), file("/etc/c")]
    }

    #[test]
    fn the_difference_is_shown_as_people_read_it() {
        let facts = Facts {
            system: "Debian GNU/Linux 12".to_owned(),
            architecture: "x86_64".to_owned(),
            processors: 2,
            memory_mib: 2048,
            free_mib: 9000,
            ..Facts::default()
        };
        let observed = |found: [Found; 3]| Observed {
            facts: facts.clone(),
            found: found.to_vec(),
        };
        let different = Found::Different("different content".to_owned());
        let plan = Plan::decide("one", &items(), observed([Found::Right, Found::Absent, different]));
        assert_eq!(
            plan.actions.iter().map(|action| action.item).collect::<Vec<_>>(),
            [1, 2]
        );
        insta::assert_snapshot!(plan);
        let nothing = Plan::decide("one", &items(), observed([Found::Right, Found::Right, Found::Right]));
        assert!(nothing.is_empty());
        insta::assert_snapshot!(nothing);
    }

    #[test]
    fn what_makes_a_machine_useless_is_said() {
        let good = Facts {
            systemd: true,
            packages: Some(crate::PackageManager::Apt),
            free_mib: 5000,
            clock: 1000,
            ..Facts::default()
        };
        assert!(unusable(&good, &[], 4000, 1030).is_empty());
        assert_eq!(
            unusable(
                &Facts {
                    systemd: false,
                    ..good.clone()
                },
                &[],
                4000,
                1000
            )
            .len(),
            1
        );
        assert_eq!(
            unusable(
                &Facts {
                    free_mib: 1,
                    ..good.clone()
                },
                &[],
                4000,
                1000
            )
            .len(),
            1
        );
        assert_eq!(unusable(&good, &[], 4000, 1100).len(), 1);
        let packages = [Item::new("packages", Kind::Packages(Vec::new()))];
        let unknown = Facts { packages: None, ..good };
        assert_eq!(unusable(&unknown, &packages, 4000, 1000).len(), 1);
    }
}
