//! The services and the node agent.

use std::collections::BTreeMap;

use common::config::{Mode, Role, SERVICES};
use common::settings::{Gateways, Recovery, RecoveryHost, Settings, Tls};
use hosts::{Content, Input, Item, Kind};

use super::infrastructure::unpacked;
use super::{On, Stage, Staged, file, hostctl_account, replica_set, state, unit};
use crate::fleet::inventory::Inventory;
use crate::release::USED;
use crate::secrets::BROUGHT;
use crate::settings::{HostFacts, derive};
use crate::{files, image};

pub(super) fn items(on: &On<'_>) -> Vec<Staged> {
    let console = on.machine.roles.contains(&Role::ApplicationManager);
    // Whoever has the key decides that the platform exists: the host that lets the first admin in comes before the others.
    let when = if console {
        Stage::Infrastructure
    } else {
        Stage::Services
    };
    let secrets = secrets(on, console).into_iter().map(|item| (when, item));
    let secrets: Vec<Staged> = secrets.collect();
    let (mut all, mut programs) = (Vec::new(), Vec::new());
    let settings = settings(on);
    // A connection string in it may have a password.
    let text = Content::Text(written(&settings));
    all.push(file(on.path("etc/settings.json"), &on.account, 0o600, text));
    let release = format!("releases/{}", on.payload.version());
    // All of them: another host may be lost.
    for (name, program) in &on.payload.programs {
        let path = on.path(&format!("{release}/{name}"));
        programs.push(file(path, "root", 0o755, Content::File(program.clone())));
    }
    if !on.payload.returns {
        all.push(releases_by_use(on));
    }
    all.push(Item::new(
        "release in use",
        Kind::Link {
            path: on.path("releases/current"),
            target: on.payload.version(),
        },
    ));
    if on.machine.roles.contains(&Role::Deployer) {
        programs.extend(python(on));
    }
    all.push(on.folder("uploads", &on.account, 0o700));
    let services = on.machine.roles.iter().filter(|role| Role::SERVICES.contains(role));
    for name in ["agent"].into_iter().chain(services.map(|role| role.name())) {
        if name != "agent" {
            all.push(no_stand_in(on, name));
        }
        all.push(service(on, name, &settings));
    }
    all.push(old_releases(on));
    let programs = programs.into_iter().map(|item| (Stage::Programs, item));
    let all = all.into_iter().map(|item| (Stage::Services, item));
    secrets.into_iter().chain(programs).chain(all).collect()
}

/// Notes which release is left and which is taken into use. A way back notes nothing: the release that it leaves stays the newest.
fn releases_by_use(on: &On<'_>) -> Item {
    let version = on.payload.version();
    let releases = on.path("releases");
    state(
        "releases by use",
        format!("[ \"$(readlink {releases}/current)\" = {version} ]"),
        // Moments of the file system are some milliseconds coarse.
        format!(
            "cd {releases} && for release in $(readlink current) {version}; do if [ -d \"$release\" ]; then touch \"$release/{USED}\" && sleep 0.05; fi; done"
        ),
    )
}

/// The programs in use and the two before them are kept; what never was in use goes.
fn old_releases(on: &On<'_>) -> Item {
    let (releases, version) = (on.path("releases"), on.payload.version());
    let list = format!(
        "cd {releases} && {{ echo {version}; {} | grep -vx {version} | head -n 2; echo; find . -mindepth 1 -maxdepth 1 -type d -printf '%f\\n'; }} | awk 'NF == 0 {{ rest = 1; next }} !rest {{ kept[$1] = 1; next }} !($1 in kept)'",
        by_use(&releases)
    );
    state(
        "no old releases",
        format!("[ -z \"$({list})\" ]"),
        format!("{list} | xargs -r rm -rf"),
    )
}

/// Lists the releases of a folder that were in use, the one that was taken into use last first.
pub(in crate::fleet) fn by_use(releases: &str) -> String {
    format!("find {releases} -mindepth 2 -maxdepth 2 -name {USED} -printf '%T@ %h\\n' | sort -rn | sed 's#.*/##'")
}

fn secrets(on: &On<'_>, console: bool) -> Vec<Item> {
    let wanted = on.secrets.files(console);
    let gone = BROUGHT.into_iter().filter(|name| !wanted.contains_key(*name));
    let gone: Vec<String> = gone.map(|name| on.path(&format!("secrets/{name}"))).collect();
    let mut all: Vec<Item> = wanted.into_iter().map(|(name, text)| on.secret(&name, text)).collect();
    if !gone.is_empty() {
        let gone = gone.join(" ");
        all.push(state(
            "no secrets that nobody reads",
            format!("[ -z \"$(ls {gone} 2>/dev/null)\" ]"),
            format!("rm -f {gone}"),
        ));
    }
    all
}

/// What the services of this host read.
fn settings(on: &On<'_>) -> Settings {
    let (inventory, config, machine) = (on.inventory, &on.inventory.config, on.machine);
    let facts = HostFacts {
        host_name: machine.name.clone(),
        address: machine.address.clone(),
        gateway: inventory.subnet.gateway(),
        ca_bundle: None,
        restored: on.secrets.restored(),
        registry_access: on.secrets.passwords().registry_access(),
        mongodb_accounts: config.mongodb.mode == Mode::Managed,
    };
    let mut settings = derive(config, &on.layout, &facts);
    settings.host.clone_from(&machine.name);
    settings.public_address.clone_from(&machine.address);
    settings.internal_address = machine.internal.into();
    let tls = Some(Tls {
        ca: Some(on.authority().into()),
    });
    let devices = inventory.all(Role::SensorManager);
    settings.gateways = Gateways {
        readings: inventory.gateways(Role::SensorManager, config.ports.readings, machine),
        actions: inventory.gateways(Role::ActionManager, config.ports.actions, machine),
        registry: vec![inventory.at(Role::Registry, config.ports.registry)],
        devices: devices.map(|machine| machine.address.clone()).collect(),
        tls: tls.clone(),
    };
    settings.recovery = Some(recovery(on));
    settings.certificate = Some(on.certificate().into());
    if config.kafka.mode == Mode::Managed {
        settings.kafka.brokers = on.brokers.clients(config.ports.kafka);
    }
    if config.mongodb.mode == Mode::Managed {
        settings.mongodb.uri = mongodb_uri(on.inventory);
    }
    if config.kafka.mode == Mode::Managed {
        settings.kafka.tls.clone_from(&tls);
    }
    if config.mongodb.mode == Mode::Managed {
        settings.mongodb.tls = tls;
    }
    settings
}

/// Where services find MongoDB: one server, or the members of a replica set.
fn mongodb_uri(inventory: &Inventory) -> String {
    if inventory.config.has_replica_set() {
        return replica_set::uri(inventory);
    }
    let port = inventory.config.ports.mongodb;
    format!("mongodb://{}/", inventory.at(Role::Mongodb, port))
}

fn written(settings: &Settings) -> String {
    serde_json::to_string_pretty(settings).map_or_else(|_| String::new(), |text| text + "\n")
}

/// What any service of this host has to be started anew for, whichever it is.
pub(super) fn read_by_any(on: &On<'_>) -> String {
    written(&settings(on))
}

/// What a service has to be started anew for. Which hosts there are, only some read: others go on when one joins or leaves.
fn read_by(name: &str, settings: &Settings) -> String {
    let mut read = settings.clone();
    if name != "monitor" {
        read.recovery = None;
    }
    if !["agent", "application-manager"].contains(&name) {
        read.gateways = Gateways::default();
    }
    written(&read)
}

/// Keeps the allocator from holding on to memory for each thread.
pub(super) fn environment() -> BTreeMap<String, String> {
    let variables = [("MALLOC_ARENA_MAX", "2"), ("MALLOC_MMAP_THRESHOLD_", "262144")];
    variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// What stood in for a host that was lost gives way to the service's own unit: both would want the same ports.
fn no_stand_in(on: &On<'_>, service: &str) -> Item {
    let unit = format!("{}-standin@{service}", on.name());
    state(
        format!("no stand-in of {service}"),
        format!("! systemctl is-active -q {unit}"),
        format!("systemctl stop {unit}"),
    )
}

/// Who may be asked to start services of others.
fn recovery(on: &On<'_>) -> Recovery {
    let inventory = on.inventory;
    let hosts = inventory.machines.iter().enumerate().map(|(index, machine)| {
        let target = inventory.target(index);
        let services = machine.roles.iter().filter_map(|role| role.service());
        RecoveryHost {
            name: machine.name.clone(),
            address: machine.internal.into(),
            port: target.as_ref().map_or(22, |target| target.port),
            fingerprint: target.and_then(|target| target.trust.fingerprint),
            services: services.collect(),
        }
    });
    Recovery {
        acts: inventory.config.recovery,
        user: hostctl_account(on.name()),
        hosts: hosts.collect(),
        known_hosts: on.path("etc/known_hosts").into(),
    }
}

fn service(on: &On<'_>, name: &str, settings: &Settings) -> Item {
    let binary = if name == "agent" { "deployer" } else { name };
    let mode = if name == "agent" { "--agent " } else { "" };
    let command = format!(
        "{} {mode}--settings {}",
        on.path(&format!("releases/current/{binary}")),
        on.path("etc/settings.json")
    );
    let program = on
        .payload
        .programs
        .get(binary)
        .map(|upload| upload.sha256.as_str())
        .unwrap_or_default();
    let print = on.print(&[program, &read_by(name, settings), &on.secrets.fingerprint(name)]);
    let mut service = on.unit(name, command, &on.account, print);
    service.notifies = true;
    service.environment = environment();
    match name {
        // They control Docker Engine, which is as much as root.
        "deployer" | "agent" => service.account = None,
        "application-manager" => {
            service.low_ports = on.inventory.config.console_needs_low_ports();
            service.writes = vec![on.path("uploads")];
        }
        _ => {}
    }
    debug_assert!(
        name == "agent" || SERVICES.contains(&name),
        "only services and the agent have units here"
    );
    unit(service)
}

/// What Python applications are built on.
fn python(on: &On<'_>) -> Vec<Item> {
    let (tag, folder) = (image::python_tag(on.name()), on.path("python"));
    let base = image::BASE;
    // Not of where the base comes from: a host keeps the one that it has.
    let print = files::fingerprint(&[on.payload.dockerfile.as_bytes()]);
    let get = match &on.payload.base {
        Some(_) => format!("docker import --change '{}' \"$FILE\" {base}", image::PATH),
        None => format!("docker pull -q {0} && docker tag {0} {base}", image::OFFICIAL),
    };
    let inspect = |tag: &str| format!("docker image inspect {tag}");
    let mut all = vec![
        on.folder("python", "root", 0o755),
        on.text("python/Dockerfile", 0o644, on.payload.dockerfile.clone()),
        Item::new(
            "base image",
            Kind::State {
                check: inspect(base),
                make: get,
                input: None::<Input>,
                file: on.payload.base.clone(),
            },
        ),
        state(
            "python image",
            format!(
                "[ \"$({} --format '{{{{index .Config.Labels \"platform.fingerprint\"}}}}')\" = {print} ]",
                inspect(&tag)
            ),
            format!(
                "DOCKER_BUILDKIT=0 docker build -q --build-arg BASE={base} --label platform.fingerprint={print} --label {}={} --tag {tag} {folder}",
                crate::network::LABEL,
                on.name()
            ),
        ),
    ];
    if let Some(sdk) = &on.payload.sdk {
        all.push(unpacked("python SDK", sdk, &on.layout.sdk().display().to_string()));
    }
    all
}
