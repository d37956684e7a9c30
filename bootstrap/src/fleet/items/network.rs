//! Who may speak with whom: the firewall, the swarm, the network of applications.

use common::config::{Mode, Role};
use hosts::{Content, Input, Item, Kind};

use super::{On, Stage, Staged, file, state};
use crate::firewall::Firewall;
use crate::network::config_only;
use crate::network_store;

/// What the swarm's hosts say to each other.
const SWARM_PORTS: [u16; 2] = [2377, 7946];

pub(super) fn items(on: &On<'_>) -> Vec<Staged> {
    let mut all: Vec<Staged> = firewall(on).into_iter().map(|item| (Stage::Base, item)).collect();
    all.push(swarm(on));
    all.push((Stage::Join, local_network(on)));
    all.extend(engine_starts(on).into_iter().map(|item| (Stage::Join, item)));
    if on.machine.roles.contains(&Role::Deployer) {
        let (network, local) = (&on.inventory.names.network, &on.inventory.names.local);
        let item = state(
            format!("network {network}"),
            format!("docker network inspect {network}"),
            // Another deployer's host may make it at this moment.
            format!(
                "docker network create --driver bridge --scope swarm --config-from {local} {network} || docker network inspect {network} >/dev/null"
            ),
        );
        all.push((Stage::Network, item));
    }
    if on.machine.internal == on.gate_address() {
        all.push((Stage::Network, heartbeat()));
    }
    all
}

/// How often nodes of the swarm say that they live. One that is silent for three times as long is down; a new leader waits twice that.
const HEARTBEAT_SECONDS: u64 = 3;

fn heartbeat() -> Item {
    state(
        "heartbeat of the swarm",
        format!(
            "[ \"$(docker info --format '{{{{.Swarm.Cluster.Spec.Dispatcher.HeartbeatPeriod}}}}')\" = {HEARTBEAT_SECONDS}s ]"
        ),
        format!("docker swarm update --dispatcher-heartbeat {HEARTBEAT_SECONDS}s"),
    )
}

/// Ports that are for the platform's hosts only.
fn internal_ports(on: &On<'_>) -> Vec<u16> {
    let config = &on.inventory.config;
    let mut ports = SWARM_PORTS.to_vec();
    ports.extend([config.ports.registry, config.ports.readings, config.ports.actions]);
    if config.kafka.mode == Mode::Managed {
        ports.push(config.ports.kafka);
        if config.kafka.replication > 1 {
            ports.push(config.ports.kafka_controller);
        }
    }
    if config.mongodb.mode == Mode::Managed {
        ports.push(config.ports.mongodb);
    }
    ports
}

/// A script that makes the bridge and the rules, a unit that runs it at each start of the host, and whether they are there.
fn firewall(on: &On<'_>) -> Vec<Item> {
    let (inventory, config) = (on.inventory, &on.inventory.config);
    let hosts: Vec<_> = inventory.machines.iter().map(|machine| machine.internal).collect();
    let agent = [config.ports.agent_readings, config.ports.agent_actions];
    let firewall = Firewall::new(on.name(), &inventory.names.bridge, inventory.subnet.gateway(), agent).between_hosts(
        on.name(),
        &hosts,
        &internal_ports(on),
    );
    let script = firewall.script(&inventory.names.bridge, inventory.subnet);
    let path = on.path("network.sh");
    let unit_name = format!("{}-network", on.name());
    let unit = format!(
        "\
# Written by bootstrap; changes are lost at the next `up`.
[Unit]
Description=bridge and firewall of the platform `{}`
After=network-online.target
Wants=network-online.target
# Applications of a host that starts must find the rules.
Before=docker.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={path} apply
ExecReload={path} apply

[Install]
WantedBy=multi-user.target
",
        on.name()
    );
    let script = Content::Text(script);
    // What was applied is compared with what shall be: the file on the host may be about to change.
    let wanted = script.sha256();
    vec![
        file(path.clone(), "root", 0o755, script),
        file(
            format!("/etc/systemd/system/{unit_name}.service"),
            "root",
            0o644,
            Content::Text(unit),
        ),
        state(
            "bridge and firewall",
            format!(
                "[ \"$(systemctl is-enabled {unit_name})\" = enabled ] && [ \"$(systemctl is-active {unit_name})\" = active ] && [ \"$(cut -d' ' -f1 /run/{unit_name})\" = {wanted} ] && {path} check"
            ),
            format!(
                "systemctl daemon-reload; systemctl enable -q {unit_name}; systemctl reload-or-restart {unit_name} || {{ journalctl -u {unit_name} -n 20 --no-pager -o cat >&2; exit 1; }}"
            ),
        ),
    ]
}

/// One host begins the swarm; the others ask one that manages it for the word that lets them in. A member of another rank is
/// promoted or demoted by that one.
fn swarm(on: &On<'_>) -> Staged {
    let (own, manages) = (on.machine.internal, on.machine.manages);
    let is = |control: bool| {
        format!(
            "[ \"$(docker info --format '{{{{.Swarm.LocalNodeState}}}} {{{{.Swarm.ControlAvailable}}}}')\" = 'active {control}' ]"
        )
    };
    let check = is(manages);
    let addresses = format!("--advertise-addr {own} --listen-addr {own}:2377");
    if on.begins {
        let make = format!("docker swarm init {addresses}");
        return (Stage::Swarm, state("swarm", check, make));
    }
    let gate = on.gate_address();
    let (role, rank) = if manages {
        ("manager", "promote")
    } else {
        ("worker", "demote")
    };
    let ask = format!(
        "set -e
id=$(for node in $(docker node ls -q); do docker node inspect $node --format '{{{{.ID}}}} {{{{.Status.Addr}}}}'; done | awk -v own={own} '$2 == own {{print $1}}')
for node in $id; do docker node {rank} $node >&2; done
docker swarm join-token -q {role}"
    );
    let item = Item::new(
        format!("member of the swarm ({role})"),
        Kind::State {
            check: check.clone(),
            make: format!(
                "[ \"$(docker info --format '{{{{.Swarm.LocalNodeState}}}}')\" = active ] || docker swarm join --token \"$INPUT\" {addresses} {gate}:2377\ntimeout 30 bash -c 'until {}; do sleep 0.2; done'",
                check.replace('\'', "'\\''")
            ),
            input: Some(Input {
                host: on.gate,
                script: ask,
            }),
            file: None,
        },
    );
    (Stage::Join, item)
}

/// This host's part of the network of applications.
fn local_network(on: &On<'_>) -> Item {
    let (names, subnet) = (&on.inventory.names, on.inventory.subnet);
    let local = &names.local;
    state(
        format!("network {local}"),
        format!(
            "[ \"$(docker network inspect {local} --format '{{{{range .IPAM.Config}}}}{{{{.Subnet}}}}{{{{end}}}}')\" = {} ]",
            subnet.cidr()
        ),
        made(on),
    )
}

/// The command that makes it. Published ports of applications are for the platform's hosts; the firewall sees to it.
fn made(on: &On<'_>) -> String {
    let (names, subnet) = (&on.inventory.names, on.inventory.subnet);
    config_only(on.name(), names, subnet, on.machine.internal)
}

/// What an Engine does at its start so that one that was killed has the network again.
fn engine_starts(on: &On<'_>) -> Vec<Item> {
    let (script, local) = (on.path("engine.sh"), &on.inventory.names.local);
    let drop_in = network_store::drop_in(&script);
    vec![
        on.text(&format!("networks/{local}"), 0o644, made(on) + "\n"),
        on.text("engine.sh", 0o755, network_store::script(&on.path("networks"))),
        file(
            network_store::drop_in_file(on.name()),
            "root",
            0o644,
            Content::Text(drop_in),
        ),
        state(
            "docker's unit is loaded with it",
            "[ \"$(systemctl show -p NeedDaemonReload --value docker)\" = no ]",
            "systemctl daemon-reload",
        ),
    ]
}
