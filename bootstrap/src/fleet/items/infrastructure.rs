//! Kafka, MongoDB and the registry, each where it shall run.

use common::config::{Mode, Role};
use hosts::{Content, Item, Kind, Unit, Upload};

use super::{On, Stage, Staged, backup, file, state, unit};
use crate::kafka::Door;
use crate::settings::database as database_name;
use crate::{accounts, files, kafka, postgresql, registry};

pub(super) fn items(on: &On<'_>) -> Vec<Staged> {
    let (config, roles) = (&on.inventory.config, &on.machine.roles);
    let mut all = Vec::new();
    if roles.contains(&Role::Kafka) && config.kafka.mode == Mode::Managed {
        all.extend(broker(on));
    }
    let one = config.mongodb.mode == Mode::Managed && !config.has_replica_set();
    if roles.contains(&Role::Mongodb) && one {
        all.extend(database(on));
    }
    if roles.contains(&Role::Registry) {
        all.extend(images(on));
    }
    all.into_iter().map(|item| (Stage::Infrastructure, item)).collect()
}

/// Unpacks a tar file into a folder of its own and remembers which it was.
pub(super) fn unpacked(name: &str, upload: &Upload, folder: &str) -> Item {
    let mark = format!("{folder}/.unpacked");
    Item::new(
        name,
        Kind::State {
            check: format!("[ \"$(cat {mark})\" = {} ]", upload.sha256),
            make: format!(
                "rm -rf {folder}.new; mkdir -p {folder}.new; tar -C {folder}.new --no-same-owner -xf \"$FILE\"; chmod -R a+rX {folder}.new; echo {} > {folder}.new/.unpacked; rm -rf {folder}; mv -T {folder}.new {folder}",
                upload.sha256
            ),
            input: None,
            file: Some(upload.clone()),
        },
    )
}

fn broker(on: &On<'_>) -> Vec<Item> {
    let (config, layout) = (&on.inventory.config, &on.layout);
    let Some(jars) = &on.payload.kafka else {
        return Vec::new();
    };
    let (libs, data) = (on.path("kafka/libs"), on.path("kafka/data"));
    let (passwords, address) = (on.secrets.passwords(), on.machine.internal.to_string());
    let (host, ca) = (on.certificate(), on.authority());
    let Some((id, voters)) = on.brokers.quorum(on.machine.internal, config.ports.kafka_controller) else {
        return Vec::new();
    };
    let brokers = on.brokers.clients(config.ports.kafka);
    let door = Door {
        address: &address,
        id,
        voters: &voters,
        brokers: &brokers,
        tls: Some(kafka::Certificate { host: &host, ca: &ca }),
        broker: passwords.get(accounts::BROKER),
    };
    let properties = kafka::render_properties(config, &layout.part("kafka/data"), &door);
    let wanted = accounts::kafka(on.name(), &passwords);
    let print = on.print(&[&properties, kafka::LOG4J, &jars.sha256]);
    let java = kafka::command_line(config, layout, "/usr/bin/java");
    let format = format!(
        "runuser -u {account} -- java -cp '{libs}/*' kafka.tools.StorageTool format -t {} -c {}",
        on.secrets.kafka_id(),
        on.secret_path(kafka::PROPERTIES),
        account = on.account
    );
    let make = kafka::accounts_command(layout)
        .map(|word| format!("'{word}'"))
        .join(" ");
    let mark = format!(
        "{}-$(sha256sum < {data}/meta.properties | cut -c1-16)",
        files::fingerprint(&[wanted.as_bytes()])
    );
    let mut kafka = on.unit("kafka", java, &on.account, print);
    if config.kafka.replication > 1 {
        // What it led goes to the other brokers first: a Java that starts takes the CPUs that these need for it.
        kafka.pause_millis = 6000;
    }
    kafka.writes = vec![data.clone()];
    kafka.stop_seconds = 40;
    let mut all = vec![
        on.folder("kafka", "root", 0o755),
        unpacked("kafka's programs", jars, &libs),
        on.folder("kafka/data", &on.account, 0o700),
        on.secret(kafka::PROPERTIES, properties),
        on.secret(kafka::ADMIN_PROPERTIES, kafka::render_admin(&door)),
        on.secret(kafka::ACCOUNTS, wanted),
        on.text("etc/kafka-log4j2.properties", 0o644, kafka::LOG4J),
        state(
            "kafka's data folder",
            format!("[ -e {data}/meta.properties ]"),
            format!("cd /; {format}"),
        ),
        unit(kafka),
    ];
    if on.brokers.leads(on.machine.internal) {
        all.push(state(
            "kafka's accounts",
            format!("[ \"$(cat {0})\" = \"{mark}\" ]", on.path("kafka/accounts")),
            format!(
                "cd /; runuser -u {} -- {make} && echo \"{mark}\" > {}",
                on.account,
                on.path("kafka/accounts")
            ),
        ));
    }
    all
}

fn database(on: &On<'_>) -> Vec<Item> {
    let (config, layout) = (&on.inventory.config, &on.layout);
    let Some(program) = &on.payload.ferretdb else {
        return Vec::new();
    };
    let (cluster, run) = (on.path("postgresql"), on.path("run/postgresql"));
    let owner = postgresql::ACCOUNT;
    let mut all = vec![
        on.folder("postgresql", owner, 0o700),
        on.folder("run/postgresql", owner, 0o755),
    ];
    let mut print = Vec::new();
    for (path, text) in postgresql::written(config, layout) {
        print.push(text.clone());
        all.push(file(path.display().to_string(), "root", 0o644, Content::Text(text)));
    }
    let start = postgresql::script(layout);
    print.push(start.clone());
    let print: Vec<&[u8]> = print.iter().map(String::as_bytes).collect();
    let script = on.path("postgresql.sh");
    all.push(on.text("postgresql.sh", 0o755, start));
    all.push(state(
        "postgresql's cluster",
        format!("[ -e {cluster}/complete ]"),
        format!("cd /; runuser -u {owner} -- {script} init"),
    ));
    let mut postgres = on.unit("postgresql", format!("{script} run"), owner, files::fingerprint(&print));
    postgres.writes = vec![cluster, run.clone()];
    postgres.stop_seconds = 30;
    // Ends sessions and stops cleanly.
    postgres.stop_signal = "INT";
    all.push(unit(postgres));
    all.push(state(
        "ferretdb's database",
        format!("runuser -u {owner} -- {script} has-database"),
        format!("cd /; runuser -u {owner} -- {script} make-database"),
    ));
    all.extend(backup::database(on, &script));
    all.push(on.folder("run/ferretdb", &on.account, 0o700));
    let binary = on.path(&format!(
        "ferretdb/{}",
        files::fingerprint(&[program.sha256.as_bytes()])
    ));
    all.push(file(binary.clone(), "root", 0o755, Content::File(program.clone())));
    let users = accounts::mongodb(&database_name(on.name()), &on.secrets.passwords());
    all.push(on.secret(crate::ferretdb::ACCOUNTS, users.clone()));
    all.push(unit(ferretdb(on, &binary, &users)));
    all
}

/// FerretDB behind its gate.
fn ferretdb(on: &On<'_>, binary: &str, users: &str) -> Unit {
    let command = format!(
        "{binary} -listen {}:{} -users {} -tls {} -run-dir {} -postgresql {}",
        on.machine.internal,
        on.inventory.config.ports.mongodb,
        on.secret_path(crate::ferretdb::ACCOUNTS),
        on.certificate(),
        on.path("run/ferretdb"),
        postgresql::url(&on.layout)
    );
    let mut ferretdb = on.unit("ferretdb", command, &on.account, on.print(&[binary, users]));
    ferretdb.after.push(format!("{}-postgresql.service", on.name()));
    ferretdb.writes = vec![on.path("run/ferretdb")];
    ferretdb
}

fn images(on: &On<'_>) -> Vec<Item> {
    let Some(program) = &on.payload.registry else {
        return Vec::new();
    };
    let certificate = on.certificate();
    let settings = registry::render(
        &on.inventory.config,
        &on.layout,
        &on.machine.internal.to_string(),
        Some(&certificate),
    );
    // Without a list of accounts it lets nobody in.
    let accounts = accounts::registry(&on.secrets.passwords()).unwrap_or_default();
    let path = on.path("etc/registry.yml");
    let binary = on.path(&format!(
        "programs/registry-{}",
        files::fingerprint(&[program.sha256.as_bytes()])
    ));
    let print = on.print(&[&settings, &accounts, &binary]);
    let mut registry = on.unit("registry", format!("{binary} serve {path}"), &on.account, print);
    registry.writes = vec![on.path("registry")];
    vec![
        on.folder("registry", &on.account, 0o700),
        on.text("etc/registry.yml", 0o644, settings),
        on.secret(registry::ACCOUNTS, accounts),
        on.folder("programs", "root", 0o755),
        file(binary, "root", 0o755, Content::File(program.clone())),
        unit(registry),
    ]
}
