//! PostgreSQL under FerretDB: a cluster of its own that listens on a socket only.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use common::config::Config;

use crate::command::{command, from_file, logged, succeeds, text, wait_until};
use crate::files;
use crate::layout::{Layout, account};
use crate::supervisor::Program;

/// The account that Debian's package makes; PostgreSQL refuses to run as root.
pub(crate) const ACCOUNT: &str = "postgres";
const DATABASE: &str = "ferretdb";

/// Folder with the newest installed version's programs.
pub(crate) fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    versions
        .flatten()
        .map(|version| version.path().join("bin"))
        .filter(|bin| bin.join("postgres").exists())
        .max_by_key(|bin| bin.parent().and_then(Path::file_name)?.to_str()?.parse::<u32>().ok())
}

/// The programs of the version that made the cluster: another one cannot read it.
fn programs_for(cluster: &Path) -> Result<PathBuf> {
    let version = std::fs::read_to_string(cluster.join("PG_VERSION")).unwrap_or_default();
    let version = version.trim();
    if version.is_empty() {
        return programs().context("PostgreSQL is not installed");
    }
    let bin = Path::new("/usr/lib/postgresql").join(version).join("bin");
    if bin.join("postgres").exists() {
        return Ok(bin);
    }
    bail!(
        "{} was made by PostgreSQL {version}, which is not installed: apt-get install postgresql-{version}",
        cluster.display()
    )
}

fn cluster(layout: &Layout) -> PathBuf {
    layout.part("postgresql")
}

/// Its settings.
fn render(layout: &Layout) -> String {
    let etc = layout.etc();
    format!(
        "\
# Written by bootstrap; changes are lost at the next `up`.
listen_addresses = ''
unix_socket_directories = '{run}'
hba_file = '{etc}/pg_hba.conf'
ident_file = '{etc}/pg_ident.conf'
max_connections = 60
shared_buffers = 128MB
max_wal_size = 512MB
min_wal_size = 80MB
log_destination = 'stderr'
log_min_messages = warning
timezone = 'UTC'
",
        run = layout.run("postgresql").display(),
        etc = etc.display(),
    )
}

/// Its settings by their place.
pub(crate) fn written(config: &Config, layout: &Layout) -> [(PathBuf, String); 3] {
    let etc = layout.etc();
    let ident = format!(
        "platform {} {ACCOUNT}\nplatform {ACCOUNT} {ACCOUNT}\nplatform root {ACCOUNT}\n",
        account(&config.name)
    );
    [
        (etc.join("postgresql.conf"), render(layout)),
        (etc.join("pg_hba.conf"), "local all all peer map=platform\n".to_owned()),
        (etc.join("pg_ident.conf"), ident),
    ]
}

/// Whether the cluster and its settings are there.
pub(crate) fn present(config: &Config, layout: &Layout) -> bool {
    cluster(layout).join("PG_VERSION").exists()
        && layout.run("postgresql").exists()
        && written(config, layout)
            .iter()
            .all(|(path, content)| files::holds(path, content))
}

/// Makes them.
pub(crate) async fn make(config: &Config, layout: &Layout, log: &Path) -> Result<()> {
    for (path, content) in written(config, layout) {
        files::write(&path, &content, 0o644)?;
    }
    let (cluster, run) = (cluster(layout), layout.run("postgresql"));
    files::create_dir(&run)?;
    files::give(&run, ACCOUNT).await?;
    if cluster.join("PG_VERSION").exists() {
        return Ok(());
    }
    files::create_dir(&cluster)?;
    files::give(&cluster, ACCOUNT).await?;
    let initdb = programs_for(&cluster)?.join("initdb");
    let (initdb, target) = (initdb.to_string_lossy(), cluster.to_string_lossy());
    let mut make = command("runuser", ["-u", ACCOUNT, "--", &initdb, "-D", &target, "-E", "UTF8"]);
    make.args(["--locale=C", "--auth=peer", "--no-instructions"])
        .current_dir("/");
    logged(make, log)
        .await
        .context("could not create the PostgreSQL cluster")
}

/// How it is run.
pub(crate) fn program(config: &Config, layout: &Layout) -> Result<Program> {
    let cluster = cluster(layout);
    let postgres = programs_for(&cluster)?.join("postgres");
    let command = format!(
        "{} -D {} -c config_file={}/postgresql.conf",
        postgres.display(),
        cluster.display(),
        layout.etc().display()
    );
    let mut program = Program::new("postgresql", &command);
    program.account = Some(ACCOUNT.to_owned());
    program.priority = 50;
    // Ends sessions and stops cleanly.
    program.stop_signal = "INT";
    program.stop_wait_seconds = 30;
    let written = written(config, layout);
    let parts: Vec<&[u8]> = written.iter().map(|(_, content)| content.as_bytes()).collect();
    program.fingerprint = files::fingerprint(&parts);
    Ok(program)
}

/// Waits until it answers and creates the database when it is missing.
pub(crate) async fn create_database(layout: &Layout) -> Result<()> {
    let psql = |sql: &str| {
        let run = layout.run("postgresql").to_string_lossy().into_owned();
        let mut psql = command("psql", ["-h", &run, "-U", ACCOUNT, "-d", "postgres", "-Atqc", sql]);
        psql.current_dir("/");
        psql
    };
    if !wait_until(Duration::from_secs(60), async || succeeds(psql("select 1")).await).await {
        bail!("PostgreSQL did not answer within 60 s");
    }
    let found = text(psql(&format!("select 1 from pg_database where datname = '{DATABASE}'"))).await?;
    if found.is_empty() {
        text(psql(&format!("create database {DATABASE}")))
            .await
            .context("could not create FerretDB's database")?;
    }
    Ok(())
}

/// A tool of the version that made the cluster, as the account that may do everything.
fn tool(layout: &Layout, tool: &str, args: &[&str]) -> Result<tokio::process::Command> {
    let program = programs_for(&cluster(layout))?.join(tool);
    let run = layout.run("postgresql").to_string_lossy().into_owned();
    let mut command = command(program, ["-h", &run, "-U", ACCOUNT]);
    command.args(args).current_dir("/");
    Ok(command)
}

/// The command that writes the database to its output.
pub(crate) fn dump(layout: &Layout) -> Result<tokio::process::Command> {
    tool(layout, "pg_dump", &["--format=custom", DATABASE])
}

/// Fills the database anew from what [`dump`] wrote. Whoever is connected is put out. Beside the one that is served: the gate makes indexes in that
/// one, which come from the dump, too.
pub(crate) async fn fill(layout: &Layout, dump: &Path) -> Result<()> {
    const BESIDE: &str = "filled";
    text(tool(layout, "dropdb", &["--if-exists", "--force", BESIDE])?).await?;
    text(tool(layout, "createdb", &[BESIDE])?).await?;
    let filling = tool(
        layout,
        "pg_restore",
        &["--exit-on-error", "--no-owner", "--dbname", BESIDE],
    )?;
    from_file(filling, dump).await?;
    text(tool(layout, "dropdb", &["--if-exists", "--force", DATABASE])?).await?;
    let rename = format!("alter database {BESIDE} rename to {DATABASE}");
    text(tool(layout, "psql", &["-d", "postgres", "-qc", &rename])?)
        .await
        .map(drop)
}

/// Where the cluster is, to be begun anew.
pub(crate) fn data(layout: &Layout) -> PathBuf {
    cluster(layout)
}

/// How a dump begins.
const MAGIC: &[u8] = b"PGDMP";

/// Whether a file is a dump of the database.
///
/// # Errors
/// When it is not: a tool may end well and have said nothing.
pub(crate) fn is_dump(file: &Path) -> Result<()> {
    let mut head = [0; MAGIC.len()];
    let begun = std::fs::File::open(file).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut head));
    ensure!(begun.is_ok() && head == MAGIC, "there is no dump of the database");
    Ok(())
}

/// Whether the tools here can read a dump, where there are any.
pub(crate) async fn is_readable(dump: &Path) -> Result<()> {
    is_dump(dump)?;
    let Some(tools) = programs() else { return Ok(()) };
    let mut list = command(tools.join("pg_restore"), ["--list"]);
    list.arg(dump);
    let read = text(list).await.map(drop);
    read.context("the dump of the database cannot be read here")
}

/// A script for a host that makes and runs the cluster with whichever version is installed there.
pub(crate) fn script(layout: &Layout) -> String {
    let (cluster, run, etc) = (cluster(layout), layout.run("postgresql"), layout.etc());
    format!(
        r#"#!/bin/bash
# Written by bootstrap; changes are lost at the next `up`.
cluster={cluster}
sql() {{ "$bin/psql" -h {run} -U {ACCOUNT} -d postgres -Atqc "$1"; }}
# The version that made the cluster: another one cannot read it.
version="$(cat "$cluster/PG_VERSION" 2>/dev/null)"
bin="$(ls -d /usr/lib/postgresql/${{version:-*}}/bin 2>/dev/null | sort -V | tail -1)"
[ -n "$bin" ] || bin=/usr/bin
case "$1" in
  init)
    # What has run once is never emptied; what was interrupted before is begun anew.
    [ ! -e "$cluster/postmaster.opts" ] || exit 1
    find "$cluster" -mindepth 1 -delete
    "$bin/initdb" -D "$cluster" -E UTF8 --locale=C --auth=peer --no-instructions && touch "$cluster/complete" ;;
  run) exec "$bin/postgres" -D "$cluster" -c config_file={etc}/postgresql.conf ;;
  dump) exec "$bin/pg_dump" -h {run} -U {ACCOUNT} --format=custom {DATABASE} ;;
  fill)
    "$bin/dropdb" -h {run} -U {ACCOUNT} --if-exists --force {DATABASE} && "$bin/createdb" -h {run} -U {ACCOUNT} {DATABASE} || exit 1
    exec "$bin/pg_restore" -h {run} -U {ACCOUNT} --exit-on-error --no-owner --dbname {DATABASE} ;;
  has-database) [ "$(sql "select 1 from pg_database where datname = '{DATABASE}'")" = 1 ] ;;
  make-database)
    export -f sql; export bin
    timeout 60 bash -c 'until sql "select 1" >/dev/null 2>&1; do sleep 0.2; done' || exit 1
    [ "$(sql "select 1 from pg_database where datname = '{DATABASE}'")" = 1 ] || sql "create database {DATABASE}" ;;
  *) exit 2 ;;
esac
"#,
        cluster = cluster.display(),
        run = run.display(),
        etc = etc.display()
    )
}

/// How FerretDB connects.
pub(crate) fn url(layout: &Layout) -> String {
    format!(
        "postgres:///{DATABASE}?host={}&user={ACCOUNT}&pool_max_conns=40",
        layout.run("postgresql").display()
    )
}
