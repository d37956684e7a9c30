//! What the broker and the client that makes accounts are told. Pure.

use std::path::Path;

use common::config::Config;
use common::rights::ADMIN_ACCOUNT;

use crate::accounts::BROKER_ACCOUNT;

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
pub(super) const LOOPBACK: &str = "127.0.0.1";

/// How a broker is reached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Door<'a> {
    /// The address at which it listens.
    pub(crate) address: &'a str,
    /// Its number.
    pub(crate) id: u32,
    /// All brokers, `number@address:port` of their controllers.
    pub(crate) voters: &'a [String],
    /// Where clients find all brokers, `address:port`, comma separated.
    pub(crate) brokers: &'a str,
    /// Certificate with private key, and the authority that others believe; absent: links are plain, as on one machine.
    pub(crate) tls: Option<Certificate<'a>>,
    /// The password of brokers.
    pub(crate) broker: &'a str,
}

/// Files of a host that shows who it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Certificate<'a> {
    /// Private key and certificate, PEM.
    pub(crate) host: &'a str,
    /// The authority, PEM.
    pub(crate) ca: &'a str,
}

impl Door<'_> {
    /// Whether there are others.
    fn is_one_of_many(&self) -> bool {
        self.voters.len() > 1
    }

    /// Where its controller listens: to itself where it is alone.
    fn controller(&self) -> &str {
        if self.is_one_of_many() { self.address } else { LOOPBACK }
    }

    fn controller_protocol(&self) -> &'static str {
        if self.is_one_of_many() {
            self.protocol()
        } else {
            "SASL_PLAINTEXT"
        }
    }

    fn protocol(&self) -> &'static str {
        if self.tls.is_some() {
            "SASL_SSL"
        } else {
            "SASL_PLAINTEXT"
        }
    }

    /// Brokers sign in by a password that stands in the settings, because they must before any account exists.
    fn jaas(&self) -> String {
        format!(
            "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"{BROKER_ACCOUNT}\" password=\"{0}\"",
            self.broker
        )
    }
}

/// Who may do what: settings of the broker.
fn render_access(door: &Door<'_>) -> String {
    let (protocol, jaas, broker) = (door.protocol(), door.jaas(), door.broker);
    let controller = door.controller_protocol();
    let mut text = format!(
        "\
listener.security.protocol.map=CLIENTS:{protocol},CONTROLLER:{controller}
sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
sasl.mechanism.controller.protocol=PLAIN
listener.name.clients.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.clients.plain.sasl.jaas.config={jaas} user_{BROKER_ACCOUNT}=\"{broker}\";
listener.name.controller.sasl.enabled.mechanisms=PLAIN
listener.name.controller.plain.sasl.jaas.config={jaas} user_{BROKER_ACCOUNT}=\"{broker}\";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:{BROKER_ACCOUNT};User:{ADMIN_ACCOUNT}
"
    );
    if let Some(Certificate { host, ca }) = door.tls {
        text.push_str(&format!(
            "\
ssl.keystore.type=PEM
ssl.keystore.location={host}
ssl.truststore.type=PEM
ssl.truststore.location={ca}
"
        ));
    }
    text
}

/// Settings of the client that makes accounts.
pub(crate) fn render_admin(door: &Door<'_>) -> String {
    let mut text = format!(
        "\
# Written by bootstrap; changes are lost at the next `up`.
bootstrap.servers={}
security.protocol={}
sasl.mechanism=PLAIN
sasl.jaas.config={};
default.api.timeout.ms=60000
",
        door.brokers,
        door.protocol(),
        door.jaas()
    );
    if let Some(Certificate { ca, .. }) = door.tls {
        text.push_str(&format!("ssl.truststore.type=PEM\nssl.truststore.location={ca}\n"));
    }
    text
}

/// Settings of a broker. They hold a password.
pub(crate) fn render_properties(config: &Config, data: &Path, door: &Door<'_>) -> String {
    let (port, controller_port) = (config.ports.kafka, config.ports.kafka_controller);
    let (address, access) = (door.address, render_access(door));
    let (id, voters, controller) = (door.id, door.voters.join(","), door.controller());
    // A write is confirmed by a majority, so that the loss of one broker neither loses nor stops anything.
    let (copies, confirm) = (door.voters.len(), door.voters.len() / 2 + 1);
    format!(
        "\
# Written by bootstrap; changes are lost at the next `up`.
process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
listeners=CLIENTS://{address}:{port},CONTROLLER://{controller}:{controller_port}
advertised.listeners=CLIENTS://{address}:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLIENTS
{access}log.dirs={data}
# Services create their topics with the partitions they need.
auto.create.topics.enable=false
num.partitions=6
default.replication.factor={copies}
min.insync.replicas={confirm}
offsets.topic.replication.factor={copies}
offsets.topic.num.partitions=6
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={confirm}
transaction.state.log.num.partitions=6
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={confirm}
share.coordinator.state.topic.num.partitions=6
# A consumer that comes back gets its partitions at once.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=3000
# After a kill the controller waits this long for the broker's former life before it lets the new one in.
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
# A controller that is gone is followed by another after this, and only then is its broker missed. Two waits of a fetch, 1000, are the
# least that is sound; with that, hosts that are short of CPUs elect for nothing.
controller.quorum.fetch.timeout.ms=1500
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts;

    #[test]
    fn settings_of_the_broker() {
        let (config, passwords) = (Config::default(), accounts::tests::passwords());
        let certificate = Certificate {
            host: "/secrets/host.pem",
            ca: "/etc/ca.pem",
        };
        let voters = ["1@127.0.0.1:9093".to_owned()];
        let alone = Door {
            address: LOOPBACK,
            id: 1,
            voters: &voters,
            brokers: "127.0.0.1:9092",
            tls: None,
            broker: passwords.get(accounts::BROKER),
        };
        let all = [1, 2, 3].map(|id| format!("{id}@10.0.0.{id}:9093"));
        let secure = Door {
            address: "10.0.0.2",
            id: 2,
            voters: &all,
            brokers: "10.0.0.1:9092,10.0.0.2:9092,10.0.0.3:9092",
            tls: Some(certificate),
            ..alone
        };
        insta::assert_snapshot!(format!(
            "{}\n# one of three\n{}\n# accounts\n{}",
            render_properties(&config, Path::new("/var/lib/iot/kafka/data"), &alone),
            render_properties(&config, Path::new("/var/lib/iot/kafka/data"), &secure),
            render_admin(&secure)
        ));
    }
}
