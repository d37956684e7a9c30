//! The managed broker: Apache Kafka's jars from Maven, one node that is broker and controller.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use common::config::Config;

use crate::command::{command, find, logged};
use crate::engine;
use crate::files;
use crate::layout::{Layout, account};
use crate::supervisor::Program;

/// What Kafka logs.
pub(crate) const LOG4J: &str = "\
status = warn
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss.SSSXXX} %p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRefs = console
rootLogger.appenderRef.console.ref = console
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
";

/// Where everything listens on one machine.
const LOOPBACK: &str = "127.0.0.1";

/// Settings of a broker that others reach at an address.
pub(crate) fn render_properties(config: &Config, data: &Path, address: &str) -> String {
    let (port, controller) = (config.ports.kafka, config.ports.kafka_controller);
    format!(
        "\
# Written by bootstrap; changes are lost at the next `up`.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://{address}:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://{address}:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
# Services create their topics with the partitions they need.
auto.create.topics.enable=false
num.partitions=6
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=6
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=6
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=6
# A consumer that comes back gets its partitions at once.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=3000
# After a kill the controller waits this long for the broker's former life before it lets the new one in.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=4
num.recovery.threads.per.data.dir=4
log.cleaner.dedupe.buffer.size=16777216
log.index.size.max.bytes=1048576
log.segment.bytes=134217728
log.retention.check.interval.ms=60000
",
        data = data.display()
    )
}

fn data(layout: &Layout) -> PathBuf {
    layout.part("kafka").join("data")
}

fn properties(layout: &Layout) -> PathBuf {
    layout.etc().join("kafka.properties")
}

/// Whether jars, settings and a formatted data folder are there.
pub(crate) fn present(config: &Config, layout: &Layout) -> bool {
    files::holds(&layout.part("kafka").join("complete"), &version(layout))
        && data(layout).join("meta.properties").exists()
        && files::holds(&properties(layout), &render_properties(config, &data(layout), LOOPBACK))
        && files::holds(&layout.etc().join("kafka-log4j2.properties"), LOG4J)
}

/// Makes them.
pub(crate) async fn make(config: &Config, layout: &Layout, log: &Path) -> Result<()> {
    install_jars(layout, log).await?;
    files::write(
        &properties(layout),
        &render_properties(config, &data(layout), LOOPBACK),
        0o644,
    )?;
    files::write(&layout.etc().join("kafka-log4j2.properties"), LOG4J, 0o644)?;
    files::create_dir(&data(layout))?;
    let account = account(&config.name);
    files::keep_private(&data(layout), &account).await?;
    if !data(layout).join("meta.properties").exists() {
        let id = base64_url(rand::random::<[u8; 16]>());
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

fn pom(layout: &Layout) -> PathBuf {
    layout.deploy().join("kafka/pom.xml")
}

/// Changes with the list of jars.
fn version(layout: &Layout) -> String {
    files::fingerprint(&[&std::fs::read(pom(layout)).unwrap_or_default()])
}

/// Copies the jars from the machine-wide cache, which Maven fills.
async fn install_jars(layout: &Layout, log: &Path) -> Result<()> {
    let version = version(layout);
    let (target, complete) = (layout.part("kafka"), layout.part("kafka").join("complete"));
    if files::holds(&complete, &version) {
        return Ok(());
    }
    let cached = fetch(layout, log).await?;
    let libs = target.join("libs");
    if libs.exists() {
        std::fs::remove_dir_all(&libs).context("could not remove old jars")?;
    }
    files::copy_tree(&cached, &libs)?;
    files::write(&complete, &version, 0o644)?;
    Ok(())
}

/// The folder with the jars in this machine's cache; Maven fills it.
pub(crate) async fn fetch(layout: &Layout, log: &Path) -> Result<PathBuf> {
    let cached = engine::cache()?.join(format!("kafka-{}", version(layout)));
    if !cached.exists() {
        let temporary = cached.with_extension("new");
        let folder = temporary.to_string_lossy().into_owned();
        let pom = pom(layout).to_string_lossy().into_owned();
        let output = format!("-DoutputDirectory={folder}");
        let mut maven = command(
            "mvn",
            [
                "-B",
                "-q",
                "-f",
                &pom,
                "dependency:copy-dependencies",
                "-DincludeScope=runtime",
            ],
        );
        maven.arg(&output);
        logged(maven, log).await.context("could not fetch Kafka with Maven")?;
        std::fs::rename(&temporary, &cached).context("could not keep Kafka's jars")?;
    }
    Ok(cached)
}

/// An id for the cluster of an installation: the same each time, so that formatting may be tried again.
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
pub(crate) fn program(config: &Config, layout: &Layout) -> Result<Program> {
    let Some(java) = find("java") else {
        bail!("java is not installed")
    };
    let command = command_line(config, layout, &java.to_string_lossy());
    let mut program = Program::new("kafka", &command);
    program.account = Some(account(&config.name));
    program.priority = 100;
    program.stop_wait_seconds = 40;
    let settings = render_properties(config, &data(layout), LOOPBACK);
    program.fingerprint = files::fingerprint(&[settings.as_bytes(), LOG4J.as_bytes(), version(layout).as_bytes()]);
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_broker() {
        insta::assert_snapshot!(render_properties(
            &Config::default(),
            Path::new("/var/lib/iot/kafka/data"),
            LOOPBACK
        ));
    }

    #[test]
    fn uuids_have_kafkas_form() {
        assert_eq!(base64_url([0xFF; 16]), "_____________________w");
        assert_eq!(base64_url([0; 16]), "AAAAAAAAAAAAAAAAAAAAAA");
    }
}
