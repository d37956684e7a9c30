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
/// Major version 6 is the oldest that services are made for. A mongosh for another OpenSSL is there and does not run.
const RECENT: &str = "mongod --version | grep -qE '^db version v([6-9]|[1-9][0-9])\\.' && mongosh --version >/dev/null";
/// Of the memory for each member's cache, in GiB: applications run beside it. MongoDB would take half.
const CACHE_GIB: f64 = 0.5;
/// Room for what members tell each other of, in MiB. MongoDB would take a twentieth of the disk.
const OPLOG_MIB: u32 = 1024;

pub(super) fn items(on: &On<'_>) -> Vec<Staged> {
    let config = &on.inventory.config;
    if !config.has_replica_set() || config.mongodb.mode != Mode::Managed || !on.machine.roles.contains(&Role::Mongodb) {
        return Vec::new();
    }
    let mut all: Vec<Staged> = server(on)
        .into_iter()
        .map(|item| (Stage::Infrastructure, item))
        .collect();
    if on.database == Some(on.machine.internal) {
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

/// `address:port` of each.
pub(in crate::fleet) fn members(inventory: &Inventory) -> Vec<String> {
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
            "mongod and mongosh can be used",
            RECENT,
            format!(
                "{RECENT} || {{ mongod --version >&2; mongosh --version >&2; echo 'MongoDB 6.0 or newer and a mongosh that runs are needed: install them, or set mongodb.replication to 1' >&2; exit 1; }}"
            ),
        ),
        // Packages for RPM enable it. One that runs is somebody's.
        state(
            "no other mongod at the next boot",
            "! systemctl is-enabled -q mongod 2>/dev/null || systemctl is-active -q mongod",
            "systemctl disable -q mongod",
        ),
        on.folder("mongodb", &on.account, 0o700),
        on.folder("mongodb/data", &on.account, 0o700),
        on.text("mongodb/members", 0o644, members(on.inventory).join(",") + "\n"),
        on.secret(KEY, key),
        on.text("etc/mongod.conf", 0o644, settings),
        unit(mongodb),
    ]
}

/// Its settings. JSON is YAML, too.
fn settings(on: &On<'_>) -> String {
    let settings = json!({
        "storage": {
            "dbPath": on.path("mongodb/data"),
            "wiredTiger": { "engineConfig": { "cacheSizeGB": CACHE_GIB } },
        },
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
        "replication": { "replSetName": on.name(), "oplogSizeMB": OPLOG_MIB },
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
const own = {own};
const users = {users};
const tls = \"&tls=true&tlsCAFile=\" + encodeURIComponent({ca});

// What begins, or has lost its first member, does not answer at once.
const end = Date.now() + 120000;
function patiently(what, ask) {{
  for (;;) {{
    try {{
      // mongosh waits for what is kept, and would let go what is returned at once.
      const answer = ask();
      return answer;
    }} catch (error) {{
      if (Date.now() > end) throw new Error(`${{what}}: ${{error.message}}`);
      sleep(1000);
    }}
  }}
}}

// Members know each other by the key, before there is any account.
function connection(hosts, options) {{
  const who = \"__system:\" + encodeURIComponent(key);
  const how = \"?authSource=local&authMechanism=SCRAM-SHA-256&serverSelectionTimeoutMS=10000&\";
  return new Mongo(`mongodb://${{who}}@${{hosts}}/${{how}}${{options}}${{tls}}`).getDB(\"admin\");
}}

function belongs(host) {{
  return patiently(host, () => connection(host, \"directConnection=true\").hello()).setName !== undefined;
}}

// One whose disk was lost learns from the others what it belongs to.
let begun = belongs(own);
if (!begun) {{
  for (const host of members) begun = belongs(host) || begun;
}}
if (!begun) {{
  const wanted = {{ _id: name, members: members.map((host, _id) => ({{ _id, host }})) }};
  connection(own, \"directConnection=true\").adminCommand({{ replSetInitiate: wanted }});
}}

const set = patiently(\"the replica set\", () => {{
  const found = connection(members.join(\",\"), `replicaSet=${{name}}`);
  found.hello();
  return found;
}});
for (const {{ user, pwd, roles }} of users) {{
  if (set.getUser(user) === null) {{
    set.createUser({{ user, pwd, roles }});
  }} else {{
    set.updateUser(user, {{ pwd, roles }});
  }}
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
