//! Three hosts from nothing, over SSH.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bootstrap::fleet::Fleet;
use bootstrap::progress::reporter;
use bootstrap::{Options, Profile};
use common::config::Config;
use serde_json::{Value, json};
use simulator::config::Servers;

use super::counted::CountedRoom;
use super::path::instance_is;
use crate::client::Client;
use crate::rig::{Rig, RigHost};
use crate::say;
use crate::site::{Plan, Site, bundle, id, types};
use crate::stack::{ADMIN_PASSWORD, Stack};
use crate::wait::until;

const SOON: Duration = Duration::from_secs(60);
/// Its C library: the oldest that programs must run with.
const AMAZON_LINUX_2023: (u32, u32) = (2, 34);
/// Highest `systemd-analyze security` of a unit: 10 is unconfined.
const EXPOSED: f64 = 3.0;

/// `config.json` as an admin would write it for the hosts of a rig.
pub(crate) fn config(rig: &Rig) -> Result<Config> {
    let hosts: Vec<Value> = rig
        .hosts()
        .iter()
        .map(|host| json!({ "name": host.name, "connection": "ssh", "address": host.address }))
        .collect();
    let config = json!({
        "ssh": { "user": "ec2-user", "key": rig.key(), "known_hosts": rig.known_hosts() },
        "hosts": hosts,
        // The hosts of a rig share the CPUs of one machine: two copies of each service are for the campaign `faults`.
        "copies": 1,
    });
    Ok(Config::parse(&config.to_string())?)
}

fn failed(failure: bootstrap::failure::Failure) -> anyhow::Error {
    anyhow::anyhow!("{failure}")
}

fn fleet(rig: &Rig) -> Result<Fleet> {
    fleet_with(rig, false, |_| {})
}

/// With new passwords and certificates, or with those that are there.
fn fleet_with(rig: &Rig, rotate: bool, change: impl FnOnce(&mut Config)) -> Result<Fleet> {
    let mut config = config(rig)?;
    change(&mut config);
    let options = Options {
        profile: Profile::Debug,
        rotate,
        invocation: "cargo test --workspace".to_owned(),
        ..Options::default()
    };
    Fleet::new(config, options).map_err(failed)
}

/// A file for the command, and the command: `bootstrap --config FILE …`.
pub(super) struct Command {
    pub(super) config: std::path::PathBuf,
}

impl Command {
    pub(super) fn new(folder: &std::path::Path, rig: &Rig, change: impl FnOnce(&mut Config)) -> Result<Self> {
        let mut wanted = config(rig)?;
        change(&mut wanted);
        let config = folder.join("config.json");
        std::fs::write(&config, serde_json::to_string_pretty(&wanted)?)?;
        Ok(Self { config })
    }

    /// How many brokers its hosts have.
    pub(super) fn brokers(&self) -> Result<i32> {
        let config = Config::parse(&std::fs::read_to_string(&self.config)?)?;
        Ok(config.kafka.replication)
    }

    /// Waits until `status` finds everything ready.
    pub(super) async fn settles(&self) -> Result<()> {
        until(
            "every program on every host is ready",
            Duration::from_secs(120),
            || async {
                let (found, said) = crate::admin::run(&self.config, &["status"])?;
                ensure!(found == Some(0), "{said}");
                Ok(Some(()))
            },
        )
        .await
    }

    /// Runs it; it must end with a code and say certain words.
    pub(super) fn ends(&self, arguments: &[&str], code: i32, words: &[&str]) -> Result<String> {
        let (found, said) = crate::admin::run(&self.config, arguments)?;
        ensure!(
            found == Some(code),
            "{arguments:?} ended with {found:?} instead of {code}:\n{said}"
        );
        for word in words {
            ensure!(said.contains(word), "{arguments:?} does not say {word:?}:\n{said}");
        }
        Ok(said)
    }
}

/// A program that is compiled quickly brings up services that are.
const BUILD: &[&str] = if cfg!(debug_assertions) { &["--debug"] } else { &[] };

/// A command that builds, with its options.
pub(super) fn built<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [words, BUILD].concat()
}

/// New passwords and certificates, then `down` and `up`.
pub(super) async fn rotation_and_return() -> Result<()> {
    let rig = Rig::start("iot-rig-return", 3).await?;
    let outcome = async {
        let fleet = fleet(&rig)?;
        fleet.up(reporter().as_ref()).await.map_err(failed)?;
        passwords_change(&rig, &fleet).await?;
        returns(&fleet).await
    }
    .await;
    rig.after(outcome).await
}

/// `plan`, `up`, `plan`, `status`, applications on several nodes, what only hosts can lose, `down`.
pub(super) async fn three(stack: &Stack) -> Result<()> {
    // Hosts of a rig share the CPUs of one machine: what else runs on it rests meanwhile.
    stack.installation().down(stack.reporter()).await?;
    let rig = Rig::start("iot-rig-live", 3).await?;
    let outcome = play(&rig).await;
    let outcome = rig.after(outcome).await;
    stack.installation().up(stack.reporter()).await?;
    outcome
}

async fn play(rig: &Rig) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let brokers = |config: &mut Config| config.kafka.replication = 3;
    let command = Command::new(folder.path(), rig, brokers)?;
    let (fleet, reporter) = (fleet_with(rig, false, brokers)?, reporter());
    let plans = fleet.plan(reporter.as_ref()).await.map_err(failed)?;
    ensure!(
        plans.len() == 3 && plans.iter().all(|plan| !plan.is_empty()),
        "{plans:?}"
    );

    let glibc = fleet.needs_glibc(reporter.as_ref()).await.map_err(failed)?;
    ensure!(glibc <= AMAZON_LINUX_2023, "the programs need glibc {glibc:?}");
    let summary = fleet.up(reporter.as_ref()).await.map_err(failed)?;
    say(&format!(
        "    three hosts from nothing: {:.1} s",
        summary.took.as_secs_f64()
    ));
    let began = Instant::now();
    let plans = fleet.plan(reporter.as_ref()).await.map_err(failed)?;
    for plan in &plans {
        ensure!(plan.is_empty(), "nothing is left to do: {plan}");
    }
    say(&format!(
        "    a plan with nothing to do: {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    let (status, away) = fleet.status().await.map_err(failed)?;
    ensure!(away.is_none() && status.unready().is_empty(), "{status}");
    ensure!(
        status.nodes.iter().filter(|node| node.contains("Ready")).count() == 3,
        "{status}"
    );

    let password = summary.first_password.context("a one-time password")?;
    let base = summary.address.trim_end_matches('/').to_owned();
    let admin = Client::sign_in_first(&base, "admin", &password, ADMIN_PASSWORD).await?;
    confined(rig).await?;
    main_job(&admin, rig).await?;
    let first = rig.hosts().first().context("a host")?;
    let room = CountedRoom::of(admin, first, folder.path(), "Room of faults").await?;
    super::faults::of_hosts(rig, command, room).await?;
    let began = Instant::now();
    only_what_is_documented_answers(rig).await?;
    say(&format!(
        "    all ports of three hosts: {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    nothing_is_left_by_what_was_lost(&fleet, rig).await?;
    fleet.down(true, reporter.as_ref()).await.map_err(failed)?;
    for host in rig.hosts() {
        let left = rig
            .run(host, "ls -d /var/lib/iot /etc/systemd/system/iot-* 2>/dev/null || true")
            .await?;
        ensure!(left.trim().is_empty(), "{} keeps {left}", host.name);
    }
    Ok(())
}

/// From outside, a host answers at the ports for people, devices and the admin, and at no other.
async fn only_what_is_documented_answers(rig: &Rig) -> Result<()> {
    let ports = config(rig)?;
    let documented = [
        22,
        ports.console.port,
        ports.console.applications_port,
        ports.ports.mqtt,
        ports.ports.ingestion,
    ];
    let mut found = BTreeSet::new();
    for host in rig.hosts() {
        let open = super::wires::open_ports(host.address.into()).await?;
        ensure!(
            open.iter().all(|port| documented.contains(port)),
            "{} answers at {open:?}",
            host.name
        );
        found.extend(open);
    }
    ensure!(found == BTreeSet::from(documented), "{found:?}");
    Ok(())
}

/// All accounts get new passwords, all hosts new certificates, and then nothing is left to do.
async fn passwords_change(rig: &Rig, fleet: &Fleet) -> Result<()> {
    let reporter = reporter();
    let host = rig.hosts().first().context("a host")?;
    let seen = async || {
        let files = "secrets/service.scheduler.password secrets/host.pem secrets/ca.key secrets/token.key";
        rig.run(host, &format!("cd /var/lib/iot && sha256sum {files}")).await
    };
    let before = seen().await?;
    let summary = fleet_with(rig, true, |_| {})?
        .up(reporter.as_ref())
        .await
        .map_err(failed)?;
    say(&format!(
        "    new passwords and certificates: {:.1} s",
        summary.took.as_secs_f64()
    ));
    let after = seen().await?;
    let same: Vec<&str> = before.lines().filter(|line| after.contains(*line)).collect();
    ensure!(same.len() == 1 && same[0].ends_with("token.key"), "{before}\n{after}");
    for plan in fleet.plan(reporter.as_ref()).await.map_err(failed)? {
        ensure!(plan.is_empty(), "nothing is left to do after new passwords: {plan}");
    }
    Ok(())
}

/// systemd finds every unit confined.
async fn confined(rig: &Rig) -> Result<()> {
    let ask = "for unit in /etc/systemd/system/iot-*.service; do case $unit in *-network.service) ;; *) systemd-analyze security --no-pager $(basename $unit) | tail -1 ;; esac; done";
    let mut worst = (0.0, String::new());
    for host in rig.hosts() {
        for line in rig.run(host, ask).await?.lines() {
            let level = line
                .rsplit(": ")
                .next()
                .and_then(|level| level.split_whitespace().next());
            let level: f64 = level.with_context(|| line.to_owned())?.parse()?;
            ensure!(level <= EXPOSED, "{line}");
            if level > worst.0 {
                worst = (level, line.to_owned());
            }
        }
    }
    ensure!(worst.0 > 0.0, "no unit was judged");
    say(&format!("    {}", worst.1));
    Ok(())
}

/// A host that lost its power and has booted again is as it was.
async fn nothing_is_left_by_what_was_lost(fleet: &Fleet, rig: &Rig) -> Result<()> {
    healthy(fleet).await?;
    containers_begin(rig, rig.hosts().first().context("a host")?).await?;
    for plan in fleet.plan(reporter().as_ref()).await.map_err(failed)? {
        ensure!(plan.is_empty(), "nothing is left to do after a boot: {plan}");
    }
    Ok(())
}

/// A host whose Engine was killed with all else takes applications again: it remembers half of their network.
async fn containers_begin(rig: &Rig, on: &RigHost) -> Result<()> {
    let gate = rig.hosts().last().context("a host")?;
    let list = "docker images --digests --format '{{.Repository}}@{{.Digest}}' | grep -m1 /room-comfort@sha256";
    let image = rig.run(on, list).await?;
    let begin = format!(
        "docker service create -q --detach --no-resolve-image --name probe --network iot-applications --restart-condition none --constraint node.hostname=={} --entrypoint sleep {} 300 >/dev/null",
        on.name,
        image.trim()
    );
    rig.run(gate, &begin).await?;
    until("a container runs on it", SOON, || async {
        let look = "docker service ps probe --no-trunc --format '{{.CurrentState}} {{.Error}}'";
        let said = rig.run(gate, look).await?;
        ensure!(said.starts_with("Running"), "{said}");
        Ok(Some(()))
    })
    .await?;
    rig.run(gate, "docker service rm probe").await.map(drop)
}

/// `down` and `up` keep what there was.
async fn returns(fleet: &Fleet) -> Result<()> {
    fleet.down(false, reporter().as_ref()).await.map_err(failed)?;
    let summary = fleet.up(reporter().as_ref()).await.map_err(failed)?;
    ensure!(summary.changed && summary.first_password.is_none(), "{summary:?}");
    healthy(fleet).await
}

/// Waits until every program on every host is ready.
async fn healthy(fleet: &Fleet) -> Result<()> {
    until(
        "every program on every host is ready",
        Duration::from_secs(90),
        || async {
            let (status, away) = fleet.status().await.map_err(failed)?;
            ensure!(away.is_none() && status.unready().is_empty(), "{status}");
            Ok(Some(()))
        },
    )
    .await
}

/// Both sample applications, spread over the nodes, with readings, a command and a page through the console's host.
async fn main_job(admin: &Client, rig: &Rig) -> Result<()> {
    types(admin).await?;
    for example in ["room-comfort", "daily-report"] {
        admin.upload(bundle(example, example)?).await?;
    }
    let folder = tempfile::tempdir()?;
    let first = rig.hosts().first().context("a host")?.address;
    let plan = Plan {
        sensors: 2,
        every_ms: 100,
        fans: 1,
        ..Plan::room("Rig room")
    };
    let servers = Servers {
        mqtt: Some(format!("{first}:1883")),
        http: Some(format!("http://{first}:8082")),
    };
    let site = Site::register_at(admin, servers, &plan, folder.path()).await?;
    let simulation = site.play().await?;
    let mut instances = Vec::new();
    for _ in 0..3 {
        let parameters = json!({ "target": 21, "threshold": 18 });
        instances.push(id(&site.run_now(admin, "room-comfort", parameters).await?)?);
    }
    let report = id(&site.run_now(admin, "daily-report", json!({})).await?)?;
    for instance in &instances {
        instance_is(admin, instance, "running").await?;
        acknowledged(admin, instance).await?;
        has_page(admin, instance).await?;
    }
    instance_is(admin, &report, "succeeded").await?;
    let host = rig.hosts().first().context("a host")?;
    let list = "docker service ps -f desired-state=running --format '{{.Node}}' $(docker service ls -q)";
    let nodes: BTreeSet<String> = rig.run(host, list).await?.lines().map(str::to_owned).collect();
    ensure!(nodes.len() >= 2, "applications run on {nodes:?}");
    for instance in &instances {
        admin
            .post(&format!("/api/v1/instances/{instance}/stop"), &json!({}))
            .await?;
        instance_is(admin, instance, "stopped").await?;
    }
    simulation.stop(SOON).await?;
    Ok(())
}

async fn acknowledged(admin: &Client, instance: &str) -> Result<()> {
    until("a command that the fan acknowledged", SOON, || async {
        let commands = admin.list(&format!("/api/v1/instances/{instance}/commands")).await?;
        let done = commands.iter().any(|command| command["state"] == "acknowledged");
        Ok(done.then_some(()))
    })
    .await
}

async fn has_page(admin: &Client, instance: &str) -> Result<()> {
    let page = admin.get(&format!("/api/v1/instances/{instance}/page")).await?;
    let address = page["url"].as_str().context("an address")?.to_owned();
    until("the page", SOON, || async {
        let (status, body) = admin.fetch(&address).await?;
        ensure!(status.is_success(), "{status} {body}");
        Ok(body.contains("<html").then_some(()))
    })
    .await
}
