//! Packages, account, folders, Docker Engine.

use common::config::{Mode, Role};
use hosts::{Item, Kind, Need};

use super::{On, Stage, Staged, backup, file, state};
use crate::files;
use crate::fleet::leaving;
use crate::fleet::secrets::HOSTCTL_KEY;

const ENGINE: [Need; 3] = [
    Need {
        seen: &["dockerd"],
        apt: "docker.io",
        amazon: Some("docker"),
        red_hat: Some("docker-ce"),
        maker: None,
    },
    Need {
        seen: &["iptables"],
        apt: "iptables",
        amazon: Some("iptables-nft"),
        red_hat: Some("iptables-nft"),
        maker: None,
    },
    Need {
        seen: &["ip"],
        apt: "iproute2",
        amazon: Some("iproute"),
        red_hat: Some("iproute"),
        maker: None,
    },
];
/// With it the monitor's account has `hostctl` do what needs root.
const SUDO: Need = Need {
    seen: &["sudo"],
    apt: "sudo",
    amazon: Some("sudo"),
    red_hat: Some("sudo"),
    maker: None,
};
const JAVA: Need = Need {
    seen: &["java"],
    apt: "default-jre-headless",
    amazon: Some("java-17-amazon-corretto-headless"),
    red_hat: Some("java-17-openjdk-headless"),
    maker: None,
};
const POSTGRESQL: Need = Need {
    seen: &["/usr/lib/postgresql/*/bin/postgres", "postgres"],
    apt: "postgresql",
    amazon: Some("postgresql15-server"),
    red_hat: Some("postgresql-server"),
    maker: None,
};
/// No distribution brings these two.
const MONGODB: Option<&str> = Some("MongoDB, see https://www.mongodb.com/docs/manual/administration/install-on-linux/");
const REPLICA_SET: [Need; 2] = [
    Need {
        seen: &["mongod"],
        apt: "mongodb-org-server",
        amazon: Some("mongodb-org-server"),
        red_hat: Some("mongodb-org-server"),
        maker: MONGODB,
    },
    Need {
        seen: &["mongosh"],
        apt: "mongodb-mongosh",
        // The other one does not run with the OpenSSL settings of these systems.
        amazon: Some("mongodb-mongosh-shared-openssl3"),
        red_hat: Some("mongodb-mongosh-shared-openssl3"),
        maker: MONGODB,
    },
];

/// The data folder, whose it is, and what it is being made from.
fn ours(on: &On<'_>, data: String) -> Vec<Item> {
    let folder = Kind::Folder {
        path: data.clone(),
        owner: "root".to_owned(),
        mode: 0o755,
    };
    let folder = Item::new(format!("folder {data}"), folder);
    // Before anything else is in it: a folder that is full and not ours is left alone.
    let whose = on.text("installation", 0o644, format!("{}\n", on.name()));
    [folder, whose].into_iter().chain(backup::mark(on)).collect()
}

pub(super) fn items(on: &On<'_>) -> Vec<Staged> {
    let data = on.layout.data_dir().display().to_string();
    let mut all = ours(on, data);
    all.push(Item::new("packages", Kind::Packages(needs(on))));
    all.extend([
        Item::new(
            format!("account {}", on.account),
            Kind::Account {
                name: on.account.clone(),
            },
        ),
        on.folder("etc", "root", 0o755),
        on.text("etc/hosts.json", 0o644, leaving::record(on.inventory)),
        on.folder("releases", "root", 0o755),
        on.folder("run", "root", 0o755),
        on.folder("secrets", &on.account, 0o700),
        on.text(
            &format!("etc/{}", on.secrets.authority().0),
            0o644,
            on.secrets.authority().1,
        ),
    ]);
    for (name, text) in on.secrets.authorities() {
        all.push(on.text(&format!("etc/{name}"), 0o644, text));
    }
    let (name, own) = on.secrets.host(on.machine.internal);
    all.push(on.secret(name, own));
    if on.machine.manages {
        let (name, key) = on.secrets.authority_key();
        let path = on.secret_path(name);
        // A manager that cannot be asked has the only one.
        if !key.is_empty() {
            all.push(file(path, "root", 0o600, hosts::Content::Secret(key.to_owned())));
        }
    } else {
        let path = on.secret_path(on.secrets.authority_key().0);
        all.push(state(
            "no key of the authority",
            format!("[ ! -e {path} ]"),
            format!("rm -f {path}"),
        ));
    }
    // Before the number of the set, by which a host is known to have all of it.
    all.push(on.secret(HOSTCTL_KEY, on.secrets.hostctl_key()));
    all.extend(on.accounts());
    all.extend(engine());
    all.into_iter().map(|item| (Stage::Base, item)).collect()
}

fn needs(on: &On<'_>) -> Vec<Need> {
    let (config, roles) = (&on.inventory.config, &on.machine.roles);
    let mut needs = ENGINE.to_vec();
    needs.push(SUDO);
    if roles.contains(&Role::Kafka) && config.kafka.mode == Mode::Managed {
        needs.push(JAVA);
    }
    if roles.contains(&Role::Mongodb) && config.mongodb.mode == Mode::Managed {
        if config.has_replica_set() {
            needs.extend(REPLICA_SET);
        } else {
            needs.push(POSTGRESQL);
        }
    }
    needs
}

/// The Engine, with settings that it tells of when it is asked, so that what runs can be compared with what is written.
fn engine() -> Vec<Item> {
    let settings = |label: &str| {
        let settings = serde_json::json!({
            "labels": [format!("platform.settings={label}")],
            "log-driver": "json-file",
            "log-opts": {"max-file": "3", "max-size": "10m"},
            "no-new-privileges": true,
        });
        format!("{settings:#}\n")
    };
    let label = files::fingerprint(&[settings("").as_bytes()]);
    let path = "/etc/docker/daemon.json".to_owned();
    vec![
        file(path, "root", 0o644, hosts::Content::Text(settings(&label))),
        state(
            "docker engine",
            format!(
                "docker info --format '{{{{json .Labels}}}}' | grep -q 'platform.settings={label}' && [ \"$(systemctl is-enabled docker)\" = enabled ]"
            ),
            "systemctl enable -q docker\nsystemctl restart docker || { journalctl -u docker -n 20 --no-pager -o cat >&2; exit 1; }\ntimeout 60 sh -c 'until docker info >/dev/null 2>&1; do sleep 0.2; done'",
        ),
    ]
}
