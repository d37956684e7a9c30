//! Every acknowledged reading is counted exactly once, whatever is killed meanwhile.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use common::rights::ADMIN_ACCOUNT;
use serde_json::{Value, json};

use super::path::instance_is;
use crate::client::{Client, member};
use crate::site::{Plan, Site, id, room_comfort};
use crate::stack::Stack;
use crate::wait::until;
use crate::{faults, ledger};

/// A fault of [`run_with_faults`]: Kafka stands still for a while.
const HANGS: &str = "kafka that hangs";
/// How long a killed program may take to be ready again.
const BACK: Duration = Duration::from_secs(10);
/// How long the application may take to count what it was owed.
const DRAINED: Duration = Duration::from_secs(60);

/// What a fault cost.
#[derive(Debug, Clone)]
pub struct Toll {
    /// What was killed.
    pub what: String,
    /// Until it was ready again.
    pub back: Duration,
}

/// kill -9 of each service in turn at 500 readings a second.
pub(super) async fn services(stack: &Stack) -> Result<()> {
    let targets = [
        "application-manager",
        "scheduler",
        "deployer",
        "sensor-manager",
        "action-manager",
        "monitor",
        "agent",
    ];
    let tolls = run_with_faults(stack, "services", &targets).await?;
    for toll in tolls {
        crate::say(&format!(
            "    {} was ready again after {:.1} s",
            toll.what,
            toll.back.as_secs_f64()
        ));
    }
    Ok(())
}

/// kill -9 of the application's container, of Kafka and of MongoDB.
pub(super) async fn infrastructure(stack: &Stack) -> Result<()> {
    let server = if stack.pid("mongodb").await.is_ok() {
        "mongodb"
    } else {
        "ferretdb"
    };
    let mut targets = vec!["container", HANGS, "kafka", server];
    if server == "ferretdb" {
        targets.push("postgresql");
    }
    let tolls = run_with_faults(stack, "infrastructure", &targets).await?;
    for toll in tolls {
        crate::say(&format!(
            "    {} was back after {:.1} s",
            toll.what,
            toll.back.as_secs_f64()
        ));
    }
    everything_is_carried_out(stack).await
}

/// Every partition of every topic on the way to the owner of an entity and back is read: what is asked for gets an answer.
async fn everything_is_carried_out(stack: &Stack) -> Result<()> {
    until(
        "all of 24 changes are carried out at once",
        Duration::from_secs(60),
        || async {
            let now = common::Timestamp::now().millis();
            for number in 0..24 {
                let body = json!({ "name": format!("After faults {number} {now}"), "kind": "room" });
                let answer = stack
                    .admin()
                    .send(reqwest::Method::POST, "/api/v1/locations", Some(&body))
                    .await?;
                ensure!(
                    answer.status == reqwest::StatusCode::CREATED,
                    "{} {}",
                    answer.status,
                    answer.body
                );
            }
            Ok(Some(()))
        },
    )
    .await
}

/// Runs `room-comfort` at 500 readings a second, kills each target in turn, and compares what was acknowledged with what
/// was counted; a cron schedule runs beside it and each of its occurrences must start exactly once.
///
/// # Errors
/// When something is lost, doubled, out of order or late.
pub async fn run_with_faults(stack: &Stack, name: &str, targets: &[&str]) -> Result<Vec<Toll>> {
    let folder = tempfile::tempdir()?;
    let user = member(stack.admin(), &format!("{name}-user"), &["end_user", "developer"]).await?;
    let application = room_comfort(stack).await?;
    let plan = Plan {
        sensors: 5,
        every_ms: 10,
        fans: 1,
        ..Plan::room(format!("{name} room"))
    };
    let site = Site::register(stack, &plan, folder.path()).await?;
    let cron = every_minute(&user, &site).await?;
    let instance = id(&site.run_now(&user, &application, json!({})).await?)?;
    instance_is(&user, &instance, "running").await?;
    let simulation = site.play().await?;
    let mut tolls = Vec::new();
    for target in targets {
        flows(site.journal()).await?;
        tolls.push(strike(stack, target, &instance).await?);
    }
    // Around the minute the scheduler is killed again and again: its occurrences must neither be lost nor doubled.
    while dues(&user, &cron).await?.len() < 2 {
        if targets.contains(&"scheduler") {
            tolls.push(strike(stack, "scheduler", &instance).await?);
        }
        flows(site.journal()).await?;
    }
    stack.healthy(Duration::from_secs(60)).await?;
    simulation.stop(DRAINED).await?;
    let acknowledged = ledger::acknowledged(site.journal())?;
    until("every acknowledged reading is counted once", DRAINED, || async {
        let state = checkpoint(stack, &instance).await?;
        ledger::compare(&acknowledged, &state)?;
        Ok(Some(()))
    })
    .await?;
    user.post(&format!("/api/v1/instances/{instance}/stop"), &json!({}))
        .await?;
    instance_is(&user, &instance, "stopped").await?;
    occurrences_once(&user, &cron).await?;
    crate::say(&format!(
        "    {} readings acknowledged and counted",
        acknowledged.values().sum::<u64>()
    ));
    Ok(tolls)
}

/// Waits until 500 more readings were acknowledged.
async fn flows(journal: &Path) -> Result<()> {
    let before = lines(journal);
    until("readings flow", Duration::from_secs(60), || async {
        Ok((lines(journal) > before + 500).then_some(()))
    })
    .await
}

fn lines(journal: &Path) -> usize {
    std::fs::read(journal).map_or(0, |bytes| bytes.iter().filter(|byte| **byte == b'\n').count())
}

async fn strike(stack: &Stack, target: &str, instance: &str) -> Result<Toll> {
    if target == "container" {
        return strike_container(instance).await;
    }
    if target == HANGS {
        return strike_hang(stack).await;
    }
    let pid = stack.pid(target).await?;
    for process in faults::descendants(pid) {
        // A child may have gone with its parent.
        drop(faults::kill(process));
    }
    let limit = if ["kafka", "postgresql"].contains(&target) {
        Duration::from_secs(60)
    } else {
        BACK
    };
    let back = stack.back(target, pid, limit).await?;
    Ok(Toll {
        what: target.to_owned(),
        back,
    })
}

/// Kafka does not run for longer than its controller waits for it, and then goes on as if nothing had been.
async fn strike_hang(stack: &Stack) -> Result<Toll> {
    let processes = faults::descendants(stack.pid("kafka").await?);
    for process in &processes {
        faults::signal(*process, "STOP")?;
    }
    tokio::time::sleep(Duration::from_secs(8)).await;
    for process in &processes {
        faults::signal(*process, "CONT")?;
    }
    let began = std::time::Instant::now();
    everything_is_carried_out(stack).await?;
    Ok(Toll {
        what: HANGS.to_owned(),
        back: began.elapsed(),
    })
}

async fn strike_container(instance: &str) -> Result<Toll> {
    let filter = format!("label=platform.instance={instance}");
    let list = || faults::docker(&["ps", "--quiet", "--filter", &filter]);
    let old = list()?;
    ensure!(!old.is_empty(), "no container of instance {instance}");
    let began = std::time::Instant::now();
    faults::docker(&["kill", "--signal", "KILL", old.lines().next().unwrap_or_default()])?;
    until("another container", Duration::from_secs(30), || async {
        let now = list()?;
        Ok((!now.is_empty() && now != old).then_some(()))
    })
    .await?;
    Ok(Toll {
        what: "container".to_owned(),
        back: began.elapsed(),
    })
}

/// Reads what an instance remembers from its checkpoint in the store.
///
/// # Errors
/// When there is none yet.
pub async fn checkpoint(stack: &Stack, instance: &str) -> Result<Value> {
    let mongo = runtime::mongo::Mongo::connect(stack.settings(), ADMIN_ACCOUNT).await?;
    let id = format!("{instance}/0");
    let document = mongo
        .documents()
        .find("sensor_manager_checkpoints", &id)
        .await?
        .context("no checkpoint yet")?;
    let body: Value = serde_json::from_str(&document.body.context("a checkpoint has a body")?)?;
    let state = body["state"].as_str().with_context(|| format!("no state in {body}"))?;
    Ok(serde_json::from_str(state)?)
}

async fn every_minute(user: &Client, site: &Site) -> Result<String> {
    let name = format!("each-minute-{}", crate::client::mark());
    let known = user
        .send(reqwest::Method::GET, &format!("/api/v1/applications/{name}"), None)
        .await?;
    if !known.status.is_success() {
        user.upload(super::path::task(&name, "print('due')\n")?).await?;
    }
    let schedule = user
        .post(
            "/api/v1/schedules",
            &json!({ "name": "each minute", "application": name, "location": site.location, "parameters": {},
                     "when": { "kind": "cron", "expression": "* * * * *", "zone": "UTC" },
                     "policies": { "missed": "all", "overlap": "allow" } }),
        )
        .await?;
    id(&schedule)
}

/// Returns the due moments of the instances of a schedule, in order.
async fn dues(user: &Client, schedule: &str) -> Result<Vec<common::Timestamp>> {
    let instances = user.list("/api/v1/instances").await?;
    let mut dues = instances
        .iter()
        .filter(|instance| instance["schedule"] == schedule)
        .map(|instance| Ok(instance["due"].as_str().context("a due moment")?.parse()?))
        .collect::<Result<Vec<common::Timestamp>>>()?;
    dues.sort_unstable();
    Ok(dues)
}

/// Compares the minutes between the first and the last occurrence with the instances there are.
async fn occurrences_once(user: &Client, schedule: &str) -> Result<()> {
    // First look, then delete: an instance does not name a schedule that is gone.
    let dues = dues(user, schedule).await?;
    user.delete(&format!("/api/v1/schedules/{schedule}")).await?;
    let gaps: Vec<i64> = dues.windows(2).map(|pair| pair[1].millis_since(pair[0])).collect();
    ensure!(dues.len() >= 2, "only {} occurrences", dues.len());
    ensure!(
        gaps.iter().all(|gap| *gap == 60_000),
        "gaps between occurrences are {gaps:?} ms"
    );
    crate::say(&format!("    {} occurrences, each started once", dues.len()));
    Ok(())
}
