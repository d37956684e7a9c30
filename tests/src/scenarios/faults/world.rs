//! What is broken, and what has to go on.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use common::Timestamp;
use reqwest::{Method, StatusCode};
use serde_json::json;
use simulator::config::Servers;

use super::{Fault, PATIENCE, images_are_everywhere};
use crate::client::Client;
use crate::rig::{Rig, RigHost};
use crate::say;
use crate::scenarios::brokers::caught_up;
use crate::scenarios::counted::{CountedRoom, Watch};
use crate::scenarios::hosts::Command;
use crate::scenarios::membership::{move_away, node_of};
use crate::scenarios::occurrences::Occurrences;
use crate::scenarios::path::instance_is;
use crate::site::{Plan, Site, id};
use crate::stack::ADMIN_PASSWORD;
use crate::wait::until;

/// Three hosts with a room on them.
pub(super) struct World<'a> {
    rig: &'a Rig,
    command: Command,
    hosts: [&'a RigHost; 3],
    room: CountedRoom,
    partition: Duration,
    /// Where occurrences run: what they read there must not grow with the readings of the room.
    quiet: String,
    occurrences: Vec<Occurrences>,
}

impl<'a> World<'a> {
    /// A room counts on three hosts, each of which has what its application needs; a partition lasts so long.
    pub(super) async fn new(rig: &'a Rig, command: Command, room: CountedRoom, partition: Duration) -> Result<Self> {
        let [first, second, third] = rig.hosts() else {
            anyhow::bail!("three hosts")
        };
        Occurrences::prepare(room.admin()).await?;
        let folder = tempfile::tempdir()?;
        let plan = Plan {
            sensors: 1,
            ..Plan::room("Quiet room")
        };
        let nowhere = Servers { mqtt: None, http: None };
        let quiet = Site::register_at(room.admin(), nowhere, &plan, folder.path()).await?;
        images_are_everywhere(rig).await?;
        Ok(Self {
            rig,
            command,
            hosts: [first, second, third],
            room,
            partition,
            quiet: quiet.location,
            occurrences: Vec::new(),
        })
    }

    /// Plays a row of the table; the seconds.
    pub(super) async fn row(&mut self, fault: Fault, round: u32) -> Result<f64> {
        let (name, what, target) = fault.row();
        let took = self.inject(fault, round).await.with_context(|| name.to_owned())?;
        let took = took.as_secs_f64();
        let target = target.map_or_else(String::new, |target| format!(" (target {target:.0} s)"));
        say(&format!("    {name}: {what} after {took:.1} s{target}"));
        Ok(took)
    }

    /// Breaks something while readings flow and occurrences fall due, waits until all is well again, and says how long it took until it counts.
    async fn inject(&mut self, fault: Fault, round: u32) -> Result<Duration> {
        if fault.is_of_hosts() {
            self.application_is_on_the_second().await?;
        }
        self.room.flows().await?;
        let due = Occurrences::plan(self.room.admin(), &self.quiet, 2, Duration::from_secs(4)).await?;
        self.occurrences.push(due);
        let took = match fault {
            Fault::ServiceKilled => self.service("KILL", round).await?,
            Fault::ServiceHung => self.service("STOP", round).await?,
            Fault::DeployerKilled => self.deployers().await?,
            Fault::EngineKilled => self.engine().await?,
            Fault::MongodbKilled => self.mongodb().await?,
            Fault::BrokerKilled => self.broker(round).await?,
            Fault::HostPartitioned | Fault::BrokerPartitioned => self.partition().await?,
            Fault::HostKilled => self.power().await?,
            Fault::DatabaseHostKilled => self.database_host().await?,
        };
        self.room.flows().await?;
        self.command.settles().await?;
        if self.command.brokers()? == 3 {
            caught_up(self.rig).await?;
        }
        Ok(took)
    }

    async fn run(&self, host: usize, script: &str) -> Result<String> {
        self.rig.run(self.hosts[host], script).await
    }

    async fn application_is_on_the_second(&self) -> Result<()> {
        let [first, second, _] = self.hosts;
        if node_of(self.rig, first, "room-comfort").await? != second.name {
            move_away(self.rig, first, "room-comfort").await?;
            self.room.counts_on(PATIENCE).await?;
        }
        Ok(())
    }

    /// One service, another each round; the copy on the host that devices are connected to or on another.
    async fn service(&self, signal: &str, round: u32) -> Result<Duration> {
        const ONES: [(usize, &str, u16); 6] = [
            (0, "sensor-manager", 7703),
            (2, "scheduler", 7701),
            (0, "application-manager", 7700),
            (0, "deployer", 7702),
            (2, "action-manager", 7704),
            (0, "monitor", 7705),
        ];
        let (host, name, port) = ONES[round as usize % ONES.len()];
        let pid = format!("systemctl show -p MainPID --value iot-{name}");
        let before = self.run(host, &pid).await?;
        let began = Instant::now();
        self.run(host, &format!("kill -{signal} $({pid})")).await?;
        let ready = format!(
            "now=$({pid}); [ $now != {} ] && [ $now != 0 ] && exec 3<>/dev/tcp/127.0.0.1/{port} && printf 'GET /health/ready HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && head -1 <&3 | grep -q ' 200'",
            before.trim()
        );
        until(&format!("{name} is ready again"), PATIENCE, || async {
            self.run(host, &ready).await.map(|_| Some(()))
        })
        .await?;
        Ok(began.elapsed())
    }

    async fn deployers(&self) -> Result<Duration> {
        let schedule = json!({
            "name": "Deployed", "application": "room-comfort", "location": self.room.location(), "parameters": {}, "when": { "kind": "now" },
        });
        let admin = self.room.admin();
        let schedule = id(&admin.post("/api/v1/schedules", &schedule).await?)?;
        let kill = "kill -9 $(systemctl show -p MainPID --value iot-deployer)";
        let began = Instant::now();
        for host in [0, 2] {
            self.run(host, kill).await?;
        }
        let instance = until("the instance runs", PATIENCE, || async {
            let all = admin.list("/api/v1/instances").await?;
            let own = all
                .into_iter()
                .find(|instance| instance["schedule"] == schedule.as_str());
            let own = own.context("no instance yet")?;
            ensure!(own["state"] == "running", "it is {}", own["state"]);
            Ok(Some(id(&own)?))
        })
        .await?;
        let took = began.elapsed();
        admin
            .post(&format!("/api/v1/instances/{instance}/stop"), &json!({}))
            .await?;
        instance_is(admin, &instance, "stopped").await?;
        Ok(took)
    }

    async fn engine(&self) -> Result<Duration> {
        let began = Instant::now();
        self.run(1, "systemctl kill -s KILL docker").await?;
        until("the engine has begun anew", PATIENCE, || async {
            self.run(1, "docker info >/dev/null").await.map(|_| Some(()))
        })
        .await?;
        self.room.counts_on(PATIENCE).await?;
        Ok(began.elapsed())
    }

    async fn mongodb(&self) -> Result<Duration> {
        self.run(0, "systemctl kill -s KILL iot-ferretdb iot-postgresql")
            .await?;
        let asked = format!(
            "cd /; ( exec 3<>/dev/tcp/{}/27017 ) && runuser -u $(stat -c %U /var/lib/iot/postgresql) -- /var/lib/iot/postgresql.sh has-database",
            self.hosts[0].address
        );
        until("it answers again", PATIENCE, || async {
            self.run(0, &asked).await.map(|_| Some(()))
        })
        .await?;
        let began = Instant::now();
        self.a_change_is_carried_out().await?;
        Ok(began.elapsed())
    }

    /// The longest time in which nothing was acknowledged, until every broker has everything again.
    async fn broker(&self, round: u32) -> Result<Duration> {
        let before = self.room.troubles();
        let watch = Watch::begin(self.room.journal());
        self.run(round as usize % self.hosts.len(), "systemctl kill -s KILL iot-kafka")
            .await?;
        self.room.flows().await?;
        caught_up(self.rig).await?;
        let (pause, after) = (watch.end(), self.room.troubles());
        ensure!(before == after, "clients met errors: {before:?}, then {after:?}");
        Ok(pause)
    }

    async fn a_change_is_carried_out(&self) -> Result<()> {
        let name = format!("After {}", Timestamp::now().millis());
        let place = json!({ "name": name, "kind": "room", "grants": [] });
        until("a change is carried out", PATIENCE, || async {
            let admin = self.room.admin();
            let answer = admin.send(Method::POST, "/api/v1/locations", Some(&place)).await?;
            // One that was carried out before its answer was lost is there already.
            let done = answer.status.is_success() || answer.status == StatusCode::CONFLICT;
            ensure!(done, "{} {}", answer.status, answer.body);
            Ok(Some(()))
        })
        .await
    }

    /// The lost host goes on by itself all the while: two copies of the application run, one of them acts.
    async fn partition(&self) -> Result<Duration> {
        let began = Instant::now();
        self.rig.disconnect(self.hosts[1]).await?;
        let outcome = self.counts_on_elsewhere(began).await;
        let heal = self.partition.saturating_sub(began.elapsed());
        tokio::time::sleep(heal).await;
        self.rig.connect(self.hosts[1]).await?;
        outcome
    }

    async fn power(&self) -> Result<Duration> {
        let began = Instant::now();
        self.rig.kill(self.hosts[1]).await?;
        let took = self.counts_on_elsewhere(began).await?;
        self.a_change_is_carried_out().await?;
        self.others_stand_in(true).await?;
        say(&format!(
            "    every service of the lost host runs on another one after {:.1} s",
            began.elapsed().as_secs_f64()
        ));
        self.admins_were_told_once(Timestamp::now().plus_millis(-i64::try_from(began.elapsed().as_millis())?))
            .await?;
        self.rig.start_again(self.hosts[1]).await?;
        self.others_stand_in(false).await?;
        Ok(took)
    }

    /// The first host is away for a while. Where it has the only broker, sensors and an admin are connected to another host meanwhile, which
    /// must acknowledge nothing that it cannot store.
    async fn database_host(&mut self) -> Result<Duration> {
        let [first, second, _] = self.hosts;
        let alone = self.command.brokers()? == 1;
        let mut other = None;
        if alone {
            self.room.connects_to(second).await?;
            self.room.flows().await?;
            other = Some(Client::sign_in(&format!("http://{}", second.address), "admin", ADMIN_PASSWORD).await?);
        }
        self.rig.kill(first).await?;
        self.nothing_is_acknowledged(other.as_ref()).await?;
        let back = Instant::now();
        self.rig.start_again(first).await?;
        self.room.counts_on(PATIENCE).await?;
        let took = back.elapsed();
        self.a_change_is_carried_out().await?;
        if alone {
            self.room.connects_to(first).await?;
        }
        Ok(took)
    }

    /// For a while, by another host than the lost one, where there is one for sensors and admins.
    async fn nothing_is_acknowledged(&self, other: Option<&Client>) -> Result<()> {
        let (gone, mut settled) = (Instant::now(), None);
        let place = json!({ "name": "Never", "kind": "room", "grants": [] });
        while gone.elapsed() < self.partition {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let Some(console) = other else { continue };
            let said = console.send(Method::POST, "/api/v1/locations", Some(&place)).await;
            let refused = said.as_ref().map_or(true, |said| said.status.is_server_error());
            ensure!(refused, "a change without MongoDB: {said:?}");
            // What was stored in time may still have been on its way when the host was lost.
            let now = self.room.acknowledged()?;
            let before = *settled.get_or_insert(now);
            ensure!(
                now == before,
                "{} readings were acknowledged without Kafka",
                now - before
            );
        }
        Ok(())
    }

    /// What the second host has runs on those that do not have it, or ends there.
    async fn others_stand_in(&self, wanted: bool) -> Result<()> {
        const STANDING: [(usize, &str); 4] = [
            (0, "scheduler"),
            (0, "action-manager"),
            (2, "application-manager"),
            (2, "sensor-manager"),
        ];
        let what = if wanted {
            "stand-ins run"
        } else {
            "stand-ins have ended"
        };
        until(what, Duration::from_secs(120), || async {
            for (host, service) in STANDING {
                let asked = format!("systemctl is-active iot-standin@{service} || true");
                let active = self.run(host, &asked).await?.trim() == "active";
                ensure!(active == wanted, "{service} on {}", self.hosts[host].name);
            }
            Ok(Some(()))
        })
        .await
    }

    /// That the host is gone, and nothing besides about what ran there.
    async fn admins_were_told_once(&self, since: Timestamp) -> Result<()> {
        let name = &self.hosts[1].name;
        let wanted = format!("host {name} is down");
        until("admins are told", PATIENCE, || async {
            let told = self.room.admin().list("/api/v1/notifications").await?;
            let titles: Vec<&str> = told
                .iter()
                .filter(|told| told["at"].as_str().is_some_and(|at| at >= since.to_string().as_str()))
                .filter_map(|told| told["title"].as_str())
                .filter(|title| title.contains(name.as_str()))
                .collect();
            ensure!(titles == [wanted.as_str()], "{titles:?}");
            Ok(Some(()))
        })
        .await
    }

    async fn counts_on_elsewhere(&self, began: Instant) -> Result<Duration> {
        let [first, second, _] = self.hosts;
        until("the swarm runs it on another host", PATIENCE, || async {
            let node = node_of(self.rig, first, "room-comfort").await?;
            Ok((!node.is_empty() && node != second.name).then_some(()))
        })
        .await?;
        let moved = began.elapsed().as_secs_f64();
        say(&format!("    the swarm runs it on another host after {moved:.1} s"));
        self.room.counts_on(PATIENCE).await?;
        Ok(began.elapsed())
    }

    /// What the registry has lost is pushed or built again.
    pub(super) async fn registry_is_filled_again(&self) -> Result<()> {
        let folder = "/var/lib/iot/registry/docker";
        let lose = format!("systemctl stop iot-registry && rm -rf {folder} && systemctl start iot-registry");
        self.run(1, &lose).await?;
        let began = Instant::now();
        let look = format!(
            "ls {folder}/registry/v2/repositories/iot/room-comfort/_manifests/revisions/sha256 2>/dev/null | wc -l"
        );
        until(
            "a registry that lost its data has the image again",
            Duration::from_secs(150),
            || async { Ok((self.run(1, &look).await?.trim() != "0").then_some(())) },
        )
        .await?;
        say(&format!(
            "    a registry that lost its data has the image again after {:.1} s",
            began.elapsed().as_secs_f64()
        ));
        Ok(())
    }

    pub(super) async fn end(self) -> Result<()> {
        for occurrences in self.occurrences {
            occurrences.end(self.room.admin()).await?;
        }
        self.room.end().await
    }
}
