//! `up --demo`: a building with simulated sensors and devices, and two sample applications, through the public API only.

mod applications;
mod building;
pub mod bundle;
mod plan;
mod simulation;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::api::Client;
use crate::command::wait_until;
use crate::installation::Installation;
use crate::layout::{Layout, account};
use crate::supervisor::Program;
use crate::{files, release, secrets};

/// How long the first readings may take.
const HEARD_LIMIT: Duration = Duration::from_secs(20);
/// How long the fan may take: its room warms up within a minute.
const SWITCH_LIMIT: Duration = Duration::from_secs(120);

/// Name of the simulator in the supervisor.
pub(crate) const SIMULATOR: &str = "simulator";

/// What the simulator reads, under its own account, which need not see the source tree.
fn folder(layout: &Layout) -> PathBuf {
    layout.part("demo")
}

/// What the simulator plays; that it is there says that the installation has a demo.
pub(crate) fn simulation_file(layout: &Layout) -> PathBuf {
    folder(layout).join("simulation.json")
}

/// The file that is replayed, in the source tree.
fn weather(layout: &Layout) -> Result<String> {
    let path = layout.deploy().join("demo").join(plan::WEATHER);
    std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))
}

fn examples(on: &Installation) -> PathBuf {
    on.options.workspace.join("sdk/examples")
}

fn api(on: &Installation) -> Result<Client> {
    let base = format!("http://127.0.0.1:{}", on.config.console.port);
    Client::with_token(&base, "admin", secrets::host_token(&on.layout)?)
}

/// Whether the building is registered and the simulator told of it.
pub(crate) async fn building_present(on: &Installation) -> Result<bool> {
    let Some(found) = building::find(&api(on)?).await? else {
        return Ok(false);
    };
    let held = std::fs::read_to_string(simulation_file(&on.layout)).unwrap_or_default();
    let wanted = simulation::render(
        &found,
        &simulation::secrets(&held),
        &on.config.ports,
        &folder(&on.layout),
    );
    let replayed = folder(&on.layout).join(plan::WEATHER);
    Ok(wanted.is_ok_and(|wanted| wanted == held) && files::holds(&replayed, &weather(&on.layout)?))
}

/// Registers the building and tells the simulator.
pub(crate) async fn make_building(on: &Installation) -> Result<()> {
    let api = api(on)?;
    let made = building::make(&api).await?;
    let path = simulation_file(&on.layout);
    let mut known = simulation::secrets(&std::fs::read_to_string(&path).unwrap_or_default());
    known.extend(made.secrets.clone());
    for id in made.connectors.values() {
        if !known.contains_key(id) {
            known.insert(id.clone(), new_secret(&api, id).await?);
        }
    }
    known.retain(|id, _| made.connectors.values().any(|known| known == id));
    let folder = folder(&on.layout);
    let text = simulation::render(&made, &known, &on.config.ports, &folder)?;
    files::write(&folder.join(plan::WEATHER), &weather(&on.layout)?, 0o600)?;
    files::write(&path, &text, 0o600)?;
    files::keep_private(&folder, &account(&on.config.name)).await
}

/// A secret is shown once; where it was lost, only a new one helps.
async fn new_secret(api: &Client, connector: &str) -> Result<String> {
    let answer = api
        .post(
            &format!("/api/v1/connectors/{connector}/secret"),
            &serde_json::Value::Null,
        )
        .await?;
    let secret = answer["credentials"]["secret"].as_str();
    Ok(secret.with_context(|| format!("no secret in {answer}"))?.to_owned())
}

fn simulator(on: &Installation) -> Result<Program> {
    let path = simulation_file(&on.layout);
    let config = std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    let binaries: BTreeMap<String, String> = release::installed(&on.layout)?;
    let binary = binaries.get(SIMULATOR).map(String::as_str).unwrap_or_default();
    let command = format!(
        "{} --config {}",
        on.layout.current().join(SIMULATOR).display(),
        path.display()
    );
    let mut program = Program::new(SIMULATOR, &command);
    program.account = Some(account(&on.config.name));
    program.priority = 900;
    program.fingerprint = files::fingerprint(&[binary.as_bytes(), config.as_bytes()]);
    Ok(program)
}

/// Whether the simulator runs with what it was told, and the platform hears it.
pub(crate) async fn simulator_runs(on: &Installation) -> Result<bool> {
    let supervisor = on.supervisor();
    if supervisor.pid().await.is_none() || !supervisor.has("demo", &[simulator(on)?]).await {
        return Ok(false);
    }
    let states = supervisor.states().await?;
    Ok(states.get(SIMULATOR).is_some_and(|state| state.running) && building::is_heard(&api(on)?).await?)
}

/// Starts the simulator.
pub(crate) async fn run_simulator(on: &Installation) -> Result<()> {
    on.supervisor().apply("demo", &[simulator(on)?]).await?;
    let runs = wait_until(HEARD_LIMIT, async || simulator_runs(on).await.unwrap_or(false)).await;
    ensure!(
        runs,
        "nothing was heard of the simulated sensors within {} s",
        HEARD_LIMIT.as_secs()
    );
    Ok(())
}

/// Whether the sample applications are uploaded and scheduled.
pub(crate) async fn applications_present(on: &Installation) -> Result<bool> {
    applications::present(&api(on)?, &examples(on)).await
}

/// Uploads and schedules them.
pub(crate) async fn make_applications(on: &Installation) -> Result<()> {
    let api = api(on)?;
    let building = building::find(&api).await?.context("the building is not registered")?;
    applications::make(&api, &building, &examples(on)).await
}

async fn fan(api: &Client) -> Result<String> {
    let building = building::find(api).await?.context("the building is not registered")?;
    let name = format!("{} fan", plan::LABORATORY);
    building
        .devices
        .get(&name)
        .cloned()
        .context("the fan is not registered")
}

/// Whether the fan was switched on once: from a sensor through the application to a device.
pub(crate) async fn fan_switched(on: &Installation) -> Result<bool> {
    let api = api(on)?;
    applications::switched_on(&api, &fan(&api).await?).await
}

/// Waits for it.
pub(crate) async fn wait_for_fan(on: &Installation) -> Result<()> {
    let api = api(on)?;
    let fan = fan(&api).await?;
    let switched = wait_until(SWITCH_LIMIT, async || {
        applications::switched_on(&api, &fan).await.unwrap_or(false)
    })
    .await;
    ensure!(
        switched,
        "the fan of the laboratory was not switched on within {} s; see `{}` in the console",
        SWITCH_LIMIT.as_secs(),
        plan::runs()[0].name
    );
    Ok(())
}
