//! A managed MongoDB of several hosts: a `mongod` on each, one replica set of all. Pure.

use common::config::{Mode, Role};
use common::names::ServiceName;
use common::rights::ADMIN_ACCOUNT;
use hosts::Item;
use serde_json::json;

use super::{On, Stage, Staged, state, unit};
use crate::files;
use crate::fleet::inventory::Inventory;
use crate::settings::database as database_name;

/// What the members share, by which they know each other.
const KEY: &str = "mongodb.key";
/// What mongosh does on the first of them.
const SCRIPT: &str = "mongodb-set.js";
/// Major version 6 is the oldest that services are made for.
const RECENT: &str = "mongod --version | grep -qE '^db version v([6-9]|[1-9][0-9])\\.'";

pub(super) fn items(on: &On<'_>) -> Vec<Staged> {
    let config = &on.inventory.config;
    if !config.has_replica_set() || config.mongodb.mode != Mode::Managed || !on.machine.roles.contains(&Role::Mongodb) {
        return Vec::new();
    }
    let mut all: Vec<Staged> = server(on)
        .into_iter()
        .map(|item| (Stage::Infrastructure, item))
        .collect();
    let leads = on.inventory.of(Role::Mongodb) == on.machine.internal;
    if leads {
        // Every member runs by then.
        all.extend(set(on).into_iter().map(|item| (Stage::Programs, item)));
    }
    all
}

/// Where services find it, whichever member leads.
pub(super) fn uri(inventory: &Inventory) -> String {
    format!(
        "mongodb://{}/?replicaSet={}",
        members(inventory).join(","),
        inventory.config.name
    )
}

fn members(inventory: &Inventory) -> Vec<String> {
    let port = inventory.config.ports.mongodb;
    let hosts = inventory.all(Role::Mongodb);
    hosts.map(|machine| format!("{}:{port}", machine.internal)).collect()
}

/// The server of a host.
fn server(on: &On<'_>) -> Vec<Item> {
    let settings = settings(on);
    let key = on.secrets.members_key();
    let path = on.path("etc/mongod.conf");
    let mut mongodb = on.unit(
        "mongodb",
        format!("/usr/bin/mongod --config {path}"),
        &on.account,
        on.print(&[&settings, &key]),
    );
    mongodb.writes = vec![on.path("mongodb")];
    mongodb.stop_seconds = 60;
    vec![
        state(
            "mongod is recent enough",
            RECENT,
            format!(
                "{RECENT} || {{ mongod --version >&2; echo 'MongoDB 6.0 or newer is needed: install it, or set mongodb.replication to 1' >&2; exit 1; }}"
            ),
        ),
        on.folder("mongodb", &on.account, 0o700),
        on.folder("mongodb/data", &on.account, 0o700),
        on.secret(KEY, key),
        on.text("etc/mongod.conf", 0o644, settings),
        unit(mongodb),
    ]
}

/// Its settings. JSON is YAML, too.
fn settings(on: &On<'_>) -> String {
    let settings = json!({
        "storage": { "dbPath": on.path("mongodb/data") },
        "net": {
            "port": on.inventory.config.ports.mongodb,
            "bindIp": on.machine.internal,
            "unixDomainSocket": { "enabled": false },
            "tls": {
                "mode": "requireTLS",
                "certificateKeyFile": on.certificate(),
                "CAFile": on.authority(),
                "allowConnectionsWithoutCertificates": true,
            },
        },
        "security": { "authorization": "enabled", "keyFile": on.secret_path(KEY) },
        "replication": { "replSetName": on.name() },
        // Hosts know each other by address.
        "setParameter": { "disableSplitHorizonIPCheck": true },
    });
    format!("{settings:#}\n")
}

/// The members become one, and the accounts are those of the list. Not run when nothing changed.
fn set(on: &On<'_>) -> Vec<Item> {
    let script = script(on);
    let mark = on.path("mongodb/set");
    let print = files::fingerprint(&[script.as_bytes()]);
    let run = format!(
        "cd /; runuser -u {} -- mongosh --quiet --norc --nodb --file {} >&2",
        on.account,
        on.secret_path(SCRIPT)
    );
    vec![
        on.secret(SCRIPT, script),
        state(
            "mongodb's replica set and accounts",
            format!("[ \"$(cat {mark})\" = {print} ]"),
            format!("{run} && echo {print} > {mark}"),
        ),
    ]
}

/// What mongosh does. MongoDB's own rights know no beginnings of names, so each service may read and write the whole database.
fn script(on: &On<'_>) -> String {
    let (all, passwords) = (members(on.inventory), on.secrets.passwords());
    let database = database_name(on.name());
    let services = ServiceName::ALL.map(|service| {
        json!({
            "user": service.as_str(),
            "pwd": passwords.service(service.as_str()),
            "roles": [{ "role": "readWrite", "db": database }],
        })
    });
    let admin = json!({
        "user": ADMIN_ACCOUNT,
        "pwd": passwords.service(ADMIN_ACCOUNT),
        "roles": ["root"],
    });
    let users: Vec<_> = [admin].into_iter().chain(services).collect();
    let own = format!("{}:{}", on.machine.internal, on.inventory.config.ports.mongodb);
    format!(
        "\
const key = require(\"fs\").readFileSync({key}, \"utf8\").trim();
const name = {name};
const members = {members};
const users = {users};
const tls = \"&tls=true&tlsCAFile=\" + encodeURIComponent({ca});

// Members know each other by the key, before there is any account.
function connection(hosts, options, patience = 30000) {{
  const who = \"__system:\" + encodeURIComponent(key);
  const how = `?authSource=local&authMechanism=SCRAM-SHA-256&serverSelectionTimeoutMS=${{patience}}&`;
  return new Mongo(`mongodb://${{who}}@${{hosts}}/${{how}}${{options}}${{tls}}`);
}}

function begun() {{
  try {{
    connection(members.join(\",\"), `replicaSet=${{name}}`, 5000).getDB(\"admin\").hello();
    return true;
  }} catch {{
    return false;
  }}
}}

// A member whose disk was lost learns from the others what it belongs to.
if (!begun()) {{
  const here = connection({own}, \"directConnection=true\").getDB(\"admin\");
  here.adminCommand({{ replSetInitiate: {{ _id: name, members: members.map((host, _id) => ({{ _id, host }})) }} }});
}}

const set = connection(members.join(\",\"), `replicaSet=${{name}}`).getDB(\"admin\");
for (const {{ user, pwd, roles }} of users) {{
  const known = set.getUser(user) !== null;
  known ? set.updateUser(user, {{ pwd, roles }}) : set.createUser({{ user, pwd, roles }});
}}
",
        key = json!(on.secret_path(KEY)),
        name = json!(on.name()),
        members = json!(all),
        users = json!(users),
        ca = json!(on.authority()),
        own = json!(own),
    )
}
