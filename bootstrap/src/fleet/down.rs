//! Stopping everything on every host, and removing it.

use std::time::Duration;

use hosts::Access as _;

use super::Fleet;
use super::connection::{Problem, connect, failure};
use super::items::hostctl_account;
use super::locking::Locks;
use crate::failure::{Exit, Failure};
use crate::layout::account;
use crate::network::LABEL;
use crate::progress::Reporter;

const LIMIT: Duration = Duration::from_secs(180);

impl Fleet {
    /// Stops everything of this installation on every host; data stays unless it is to be deleted.
    ///
    /// # Errors
    /// What went wrong, on which hosts; the others are stopped.
    pub async fn down(&self, delete_data: bool, reporter: &dyn Reporter) -> Result<(), Failure> {
        let connected = connect(&self.inventory).await;
        let (mut problems, mut members) = (Vec::new(), Vec::new());
        for outcome in connected {
            match outcome {
                Ok(access) => members.push(access),
                Err(problem) => problems.push(problem),
            }
        }
        let locks = Locks::take(&self.inventory.config.name, members.clone()).await;
        let (locks, taken) = locks.map_err(|held| failure(held, &self.resume("down")))?;
        problems.extend(taken.into_iter().filter_map(Result::err));
        let mut steps = vec![
            ("services", self.stop_services()),
            ("applications", self.stop_applications()),
            ("kafka, mongodb and registry", self.stop_rest()),
        ];
        if delete_data {
            steps.push(("data, network, units and images", self.remove()));
        }
        for (what, script) in steps {
            let done = self
                .inventory
                .each(members.iter().map(async |access| {
                    let answer = access.root(&script, LIMIT).await?;
                    if answer.succeeded() {
                        return Ok(());
                    }
                    Err(Problem {
                        exit: Exit::Failed,
                        message: format!("{}: {what}: {}", access.host(), answer.last_lines(5).join(" / ")),
                    })
                }))
                .await;
            let before = problems.len();
            problems.extend(done.into_iter().filter_map(Result::err));
            let word = if what.starts_with("data") { "removed" } else { "stopped" };
            if problems.len() == before {
                reporter.says(&format!("{what}: {word}"));
            }
        }
        locks.release().await;
        if problems.is_empty() {
            return Ok(());
        }
        Err(failure(problems, &self.resume("down")))
    }

    /// The services first: the deployer would start its instances again. Units that are not on a host do not count.
    pub(super) fn stop_services(&self) -> String {
        let name = &self.inventory.config.name;
        format!(
            "for unit in $({}); do
  case $unit in {name}-kafka|{name}-postgresql|{name}-ferretdb|{name}-mongodb|{name}-registry|{name}-network) ;; *) units=\"$units $unit\" ;; esac
done
systemctl stop '{name}-standin@*'
[ -z \"$units\" ] || systemctl disable -q --now $units",
            self.units()
        )
    }

    /// A command that lists this installation's units, and nobody else's whose name begins alike.
    fn units(&self) -> String {
        let name = &self.inventory.config.name;
        format!(
            "grep -ls '^Description=.* of the platform `{name}`$' /etc/systemd/system/{name}-*.service | xargs -r -n1 basename -s .service"
        )
    }

    fn stop_applications(&self) -> String {
        let name = &self.inventory.config.name;
        format!(
            "[ \"$(docker info --format '{{{{.Swarm.ControlAvailable}}}}' 2>/dev/null)\" = true ] || exit 0
services=$(docker service ls -q --filter label={LABEL}={name}); [ -z \"$services\" ] || docker service rm $services >/dev/null 2>&1
exit 0"
        )
    }

    pub(super) fn stop_rest(&self) -> String {
        let name = &self.inventory.config.name;
        format!(
            "units=$({} | grep -vx {name}-network)
[ -z \"$units\" ] || systemctl disable -q --now $units",
            self.units()
        )
    }

    pub(super) fn remove(&self) -> String {
        let (config, names) = (&self.inventory.config, &self.inventory.names);
        let (name, data) = (&config.name, config.data_dir.display());
        format!(
            "rm -f /etc/systemd/system/docker.service.d/{name}.conf; systemctl daemon-reload
systemctl disable -q --now {name}-network 2>/dev/null
systemctl is-enabled -q docker 2>/dev/null && systemctl start docker
if docker info >/dev/null 2>&1; then
  containers=$(docker ps -aq --filter label={LABEL}={name}); [ -z \"$containers\" ] || docker rm -f $containers >/dev/null
  docker network rm {network} >/dev/null 2>&1; docker swarm leave --force >/dev/null 2>&1; docker network rm {network} {local} >/dev/null 2>&1
  images=$(docker images -q '{name}/*'; docker images -q '{registry}/*/*'); [ -z \"$images\" ] || docker rmi -f $images >/dev/null 2>&1
fi
for jump in 'INPUT -j {name}-hosts' 'INPUT -j {name}-in' 'DOCKER-USER -j {name}-fwd'; do
  chain=${{jump%% *}}; goal=${{jump##* }}
  iptables -w -S $chain 2>/dev/null | grep -- \"-j $goal\\$\" | sed 's/^-A/-D/' | while read -r rule; do iptables -w $rule; done
  iptables -w -F $goal 2>/dev/null; iptables -w -X $goal 2>/dev/null
done
ip link delete {bridge} 2>/dev/null
for unit in $({units}); do rm -f /etc/systemd/system/$unit.service; done; systemctl daemon-reload
if grep -qs 'platform.settings=' /etc/docker/daemon.json; then rm -f /etc/docker/daemon.json; systemctl try-restart docker; fi
for ca in /etc/docker/certs.d/*/ca.crt; do cmp -s $ca {data}/etc/ca.pem && rm -rf $(dirname $ca); done
rm -f /run/{name}-network /etc/sudoers.d/{hostctl} /etc/systemd/system/{name}-standin@.service; systemctl daemon-reload
userdel {hostctl} 2>/dev/null
if [ \"$(cat {data}/installation 2>/dev/null)\" = {name} ]; then rm -rf {data}; gone=$?; else gone=0; fi
userdel {account} 2>/dev/null
exit $gone",
            units = self.units(),
            network = names.network,
            local = names.local,
            bridge = names.bridge,
            registry = crate::registry::address(config),
            account = account(name),
            hostctl = hostctl_account(name)
        )
    }
}
