//! Who may what. Pure: the caller, the thing, the grants on the way up the location tree.

use std::collections::BTreeSet;

use common::UserId;
use common::messages::application::{Application, Listed};
use common::messages::registry::{Location, Right};
use common::messages::user::{Role, User};

/// Someone who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Actor {
    /// Who.
    pub(crate) id: UserId,
    /// Sign-in name.
    pub(crate) name: String,
    /// What others see.
    pub(crate) title: String,
    /// What the person may do.
    pub(crate) roles: BTreeSet<Role>,
}

impl Actor {
    /// Takes what matters of a user.
    pub(crate) fn of(user: &User) -> Self {
        Self {
            id: user.id,
            name: user.name.clone(),
            title: user.title.clone(),
            roles: user.roles.iter().copied().collect(),
        }
    }

    /// Whether the person has the role; an admin has each.
    pub(crate) fn is(&self, role: Role) -> bool {
        self.is_admin() || self.roles.contains(&role)
    }

    /// Whether the person is an admin.
    pub(crate) fn is_admin(&self) -> bool {
        self.roles.contains(&Role::Admin)
    }
}

/// Returns the highest right at a place, given the location and everything above it.
pub(crate) fn right_at<'a>(actor: &Actor, chain: impl IntoIterator<Item = &'a Location>) -> Option<Right> {
    if actor.is_admin() {
        return Some(Right::Manage);
    }
    chain
        .into_iter()
        .flat_map(|location| &location.grants)
        .filter(|grant| grant.user.is_none_or(|user| user == actor.id))
        .map(|grant| grant.right)
        .max()
}

/// Whether the person may register and change things at a place.
pub(crate) fn manages(actor: &Actor, right: Option<Right>) -> bool {
    actor.is(Role::SensorOwner) && right == Some(Right::Manage)
}

/// Whether the person may run applications at a place.
pub(crate) fn runs(actor: &Actor, right: Option<Right>) -> bool {
    actor.is(Role::EndUser) && right.is_some()
}

/// Whether the person may have devices of a place do something.
pub(crate) fn commands(actor: &Actor, right: Option<Right>) -> bool {
    runs(actor, right) || manages(actor, right)
}

/// Whether the person sees an application in the catalogue.
pub(crate) fn sees_application(actor: &Actor, application: &Application) -> bool {
    changes_application(actor, application)
        || match &application.listed {
            Listed::Everyone => true,
            Listed::Named { users } => users.contains(&actor.id),
        }
}

/// Whether the person may change an application and read its build log.
pub(crate) fn changes_application(actor: &Actor, application: &Application) -> bool {
    actor.is_admin() || (application.owner == actor.id && actor.is(Role::Developer))
}

/// How much of an instance someone sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sight {
    /// State and logs: the developer of its version.
    Health,
    /// Everything, and may stop it: its end user, an admin.
    All,
}

/// Returns how much of an instance someone sees; `None`: for this person it does not exist.
pub(crate) fn sight(actor: &Actor, owner: UserId, developer: UserId) -> Option<Sight> {
    if actor.is_admin() || actor.id == owner {
        Some(Sight::All)
    } else if actor.id == developer && actor.is(Role::Developer) {
        Some(Sight::Health)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::LocationId;
    use common::messages::registry::Grant;

    fn actor(roles: &[Role]) -> Actor {
        Actor {
            id: UserId::new(),
            name: "n".to_owned(),
            title: "N".to_owned(),
            roles: roles.iter().copied().collect(),
        }
    }

    fn location(grants: &[(Right, Option<UserId>)]) -> Location {
        Location {
            id: LocationId::new(),
            name: "l".to_owned(),
            kind: "room".to_owned(),
            parent: None,
            grants: grants.iter().map(|&(right, user)| Grant { right, user }).collect(),
            version: 1,
        }
    }

    #[test]
    fn grants_count_on_the_whole_subtree() {
        let me = actor(&[Role::SensorOwner]);
        let other = Some(UserId::new());
        let mine = Some(me.id);
        type Grants<'a> = &'a [(Right, Option<UserId>)];
        let table: [(Grants<'_>, Grants<'_>, Option<Right>); 6] = [
            (&[], &[], None),
            (&[(Right::Use, other)], &[(Right::Manage, other)], None),
            (&[(Right::Use, None)], &[], Some(Right::Use)),
            (&[], &[(Right::Use, mine)], Some(Right::Use)),
            (&[(Right::Use, None)], &[(Right::Manage, mine)], Some(Right::Manage)),
            (&[(Right::Manage, None)], &[(Right::Use, mine)], Some(Right::Manage)),
        ];
        for (leaf, root, expected) in table {
            let (leaf, root) = (location(leaf), location(root));
            assert_eq!(right_at(&me, [&leaf, &root]), expected, "{leaf:?} {root:?}");
        }
        assert_eq!(right_at(&actor(&[Role::Admin]), []), Some(Right::Manage));
    }

    #[test]
    fn a_right_needs_its_role() {
        let (u, m) = (Some(Right::Use), Some(Right::Manage));
        // roles, right → manages, runs, commands
        let table = [
            (vec![], m, (false, false, false)),
            (vec![Role::Developer], m, (false, false, false)),
            (vec![Role::SensorOwner], m, (true, false, true)),
            (vec![Role::SensorOwner], u, (false, false, false)),
            (vec![Role::EndUser], u, (false, true, true)),
            (vec![Role::EndUser], m, (false, true, true)),
            (vec![Role::EndUser], None, (false, false, false)),
            (vec![Role::Admin], m, (true, true, true)),
        ];
        for (roles, right, expected) in table {
            let actor = actor(&roles);
            assert_eq!(
                (manages(&actor, right), runs(&actor, right), commands(&actor, right)),
                expected,
                "{roles:?} {right:?}"
            );
        }
    }

    #[test]
    fn an_instance_is_the_end_users_and_its_health_the_developers() {
        let (owner, developer) = (UserId::new(), UserId::new());
        let as_user = |id, roles: &[Role]| Actor { id, ..actor(roles) };
        assert_eq!(sight(&as_user(owner, &[]), owner, developer), Some(Sight::All));
        assert_eq!(
            sight(&as_user(developer, &[Role::Developer]), owner, developer),
            Some(Sight::Health)
        );
        assert_eq!(sight(&as_user(developer, &[Role::EndUser]), owner, developer), None);
        assert_eq!(sight(&actor(&[Role::EndUser, Role::Developer]), owner, developer), None);
        assert_eq!(sight(&actor(&[Role::Admin]), owner, developer), Some(Sight::All));
    }
}
