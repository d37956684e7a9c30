//! The managed broker: Apache Kafka's jars from Maven, one node that is broker and controller; accounts and what they may do.

mod jars;
mod settings;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use common::config::Config;

use crate::accounts::{self, Passwords};
use crate::command::{command, find, logged};
use crate::files;
use crate::layout::{Layout, account};
use crate::supervisor::Program;

pub(crate) use jars::{CLASSES, fetch};
use settings::LOOPBACK;
pub(crate) use settings::{Certificate, Door, LOG4J, render_admin, render_properties};

/// Settings of the broker, among the secrets.
pub(crate) const PROPERTIES: &str = "kafka.properties";
/// Settings of the client that makes accounts, among the secrets.
pub(crate) const ADMIN_PROPERTIES: &str = "kafka-admin.properties";
/// The accounts and what they may do, among the secrets.
pub(crate) const ACCOUNTS: &str = "kafka-accounts";
fn data(layout: &Layout) -> PathBuf {
    layout.part("kafka").join("data")
}

fn properties(layout: &Layout) -> PathBuf {
    layout.secrets().join(PROPERTIES)
}

/// What is written with passwords in it, by its place: for the only broker of one machine.
fn written(config: &Config, layout: &Layout, passwords: &Passwords) -> [(PathBuf, String); 3] {
    let voters = [format!("1@{LOOPBACK}:{}", config.ports.kafka_controller)];
    let brokers = format!("{LOOPBACK}:{}", config.ports.kafka);
    let door = Door {
        address: LOOPBACK,
        id: 1,
        voters: &voters,
        brokers: &brokers,
        tls: None,
        broker: passwords.get(accounts::BROKER),
    };
    [
        (properties(layout), render_properties(config, &data(layout), &door)),
        (layout.secrets().join(ADMIN_PROPERTIES), render_admin(&door)),
        (
            layout.secrets().join(ACCOUNTS),
            accounts::kafka(&config.name, passwords),
        ),
    ]
}

/// Whether jars, settings and a formatted data folder are there.
pub(crate) fn present(config: &Config, layout: &Layout) -> bool {
    let Ok(passwords) = Passwords::read(layout) else {
        return false;
    };
    files::holds(&layout.part("kafka").join("complete"), &jars::version(layout))
        && data(layout).join("meta.properties").exists()
        && written(config, layout, &passwords)
            .iter()
            .all(|(path, content)| files::holds(path, content))
        && files::holds(&layout.etc().join("kafka-log4j2.properties"), LOG4J)
}

/// Makes them.
pub(crate) async fn make(config: &Config, layout: &Layout, log: &Path) -> Result<()> {
    jars::install(layout, log).await?;
    for (path, content) in written(config, layout, &Passwords::read(layout)?) {
        files::write(&path, &content, 0o600)?;
    }
    files::write(&layout.etc().join("kafka-log4j2.properties"), LOG4J, 0o644)?;
    files::create_dir(&data(layout))?;
    let account = account(&config.name);
    files::keep_private(&layout.secrets(), &account).await?;
    files::keep_private(&data(layout), &account).await?;
    if !data(layout).join("meta.properties").exists() {
        let id = new_id();
        let classes = format!("{}/libs/*", layout.part("kafka").display());
        let properties = properties(layout).to_string_lossy().into_owned();
        let mut format = command("runuser", ["-u", &account, "--", "java", "-cp", &classes]);
        format
            .args(["kafka.tools.StorageTool", "format", "-t", &id, "-c", &properties])
            .current_dir("/");
        logged(format, log)
            .await
            .context("could not format Kafka's data folder")?;
    }
    Ok(())
}

/// The command that makes accounts, once the broker answers.
pub(crate) fn accounts_command(layout: &Layout) -> [String; 6] {
    compiled(
        layout,
        "Accounts",
        layout.secrets().join(ACCOUNTS).display().to_string(),
    )
}

/// The command that waits until every broker has its copies of everything, or the one whose number follows, at most so many seconds; it says what
/// lacks some then.
pub(crate) fn copies_command(layout: &Layout, seconds: u64) -> [String; 6] {
    compiled(layout, "Copies", seconds.to_string())
}

/// Where that program is, once it is there.
pub(crate) fn copies_class(layout: &Layout) -> PathBuf {
    layout.part("kafka").join("libs").join(CLASSES).join("Copies.class")
}

/// What a shell on a broker's host takes for the broker's number.
pub(crate) fn own_number(layout: &Layout) -> String {
    format!(
        "\"$(sed -n 's/^node.id=//p' '{}')\"",
        data(layout).join("meta.properties").display()
    )
}

/// Runs a program that is compiled here, as a client that may do everything.
fn compiled(layout: &Layout, name: &str, argument: String) -> [String; 6] {
    let libs = layout.part("kafka").join("libs");
    [
        "java".to_owned(),
        "-cp".to_owned(),
        format!("{0}/*:{0}/{CLASSES}", libs.display()),
        name.to_owned(),
        layout.secrets().join(ADMIN_PROPERTIES).display().to_string(),
        argument,
    ]
}

/// Everything that the broker remembers, to be begun anew.
pub(crate) fn state(layout: &Layout) -> [PathBuf; 2] {
    [data(layout), mark(layout)]
}

/// What remembers which accounts were made, and in which data folder.
fn mark(layout: &Layout) -> PathBuf {
    layout.part("kafka").join("accounts")
}

fn marked(config: &Config, layout: &Layout) -> Result<String> {
    let meta = std::fs::read(data(layout).join("meta.properties")).context("Kafka's data folder is not formatted")?;
    let wanted = accounts::kafka(&config.name, &Passwords::read(layout)?);
    Ok(files::fingerprint(&[wanted.as_bytes(), &meta]))
}

/// Whether the broker has the accounts that it shall have.
pub(crate) fn has_accounts(config: &Config, layout: &Layout) -> bool {
    marked(config, layout).is_ok_and(|wanted| files::holds(&mark(layout), &wanted))
}

/// Makes them.
pub(crate) async fn make_accounts(config: &Config, layout: &Layout, log: &Path) -> Result<()> {
    let mut make = command("runuser", ["-u", &account(&config.name), "--"]);
    make.args(accounts_command(layout)).current_dir("/");
    logged(make, log).await.context("could not make Kafka's accounts")?;
    files::write(&mark(layout), &marked(config, layout)?, 0o644).map(drop)
}

/// An id for a cluster that begins.
pub(crate) fn new_id() -> String {
    base64_url(rand::random::<[u8; 16]>())
}

/// The id of the cluster of an installation that was made before ids were kept among the secrets.
pub(crate) fn cluster_id(installation: &str) -> String {
    use sha2::{Digest as _, Sha256};
    let digest = Sha256::digest(installation);
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest).for_each(|(byte, value)| *byte = value);
    base64_url(bytes)
}

/// Kafka's form of a uuid.
fn base64_url(bytes: [u8; 16]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let number = u128::from_be_bytes(bytes);
    // 128 bits are 21 letters of 6 bits and one of 2, padded to the right. A leading `-` would look like an option.
    let letters: String = (0..22)
        .map(|index| {
            let bits = if index < 21 {
                (number >> (122 - 6 * index)) & 63
            } else {
                (number & 3) << 4
            };
            LETTERS
                .get(usize::try_from(bits).unwrap_or_default())
                .map_or('A', |letter| char::from(*letter))
        })
        .collect();
    if letters.starts_with('-') {
        letters.replacen('-', "A", 1)
    } else {
        letters
    }
}

/// The command that runs it.
pub(crate) fn command_line(config: &Config, layout: &Layout, java: &str) -> String {
    let etc = layout.etc();
    let heap = config.kafka.heap_mib;
    format!(
        "{java} -Xms128m -Xmx{heap}m -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true \
         -Dlog4j2.configurationFile={} -cp {}/libs/* kafka.Kafka {}",
        etc.join("kafka-log4j2.properties").display(),
        layout.part("kafka").display(),
        properties(layout).display(),
    )
}

/// How it is run.
pub(crate) fn program(config: &Config, layout: &Layout, passwords: &Passwords) -> Result<Program> {
    let Some(java) = find("java") else {
        bail!("java is not installed")
    };
    let command = command_line(config, layout, &java.to_string_lossy());
    let mut program = Program::new("kafka", &command);
    program.account = Some(account(&config.name));
    program.priority = 100;
    program.stop_wait_seconds = 40;
    let [(_, settings), ..] = written(config, layout, passwords);
    program.fingerprint =
        files::fingerprint(&[settings.as_bytes(), LOG4J.as_bytes(), jars::version(layout).as_bytes()]);
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_have_kafkas_form() {
        assert_eq!(base64_url([0xFF; 16]), "_____________________w");
        assert_eq!(base64_url([0; 16]), "AAAAAAAAAAAAAAAAAAAAAA");
    }
}
