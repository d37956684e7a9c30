//! What an application can reach.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::path::{instance_is, task};
use crate::client::member;
use crate::site::{Plan, Site, id};
use crate::stack::Stack;
use crate::wait::until;

/// From inside a container the agent's two ports answer and nothing else does.
pub(super) async fn network(stack: &Stack) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let developer = member(stack.admin(), "nina", &["developer", "end_user"]).await?;
    let plan = Plan::room("Quiet room");
    let site = Site::register(stack, &plan, folder.path()).await?;
    // As they are now: an installation that was restored may have another network.
    let settings = stack.installation().settings()?;
    let (ports, gateway) = (&settings.ports, settings.engine.gateway);
    let closed = [
        12_392,
        ports.console,
        ports.applications,
        ports.mqtt,
        ports.ingestion,
        12_317,
        12_350,
        ports.readings,
        22,
    ];
    let program = format!(
        r#"
import os, socket, time
began, met = time.monotonic(), {{}}
def open_(host, port):
    try:
        socket.create_connection((host, port), 2).close()
        return True
    except OSError as error:
        met[port] = f"{{error}} after {{time.monotonic() - began:.1f}} s"
        return False
gateway = "{gateway}"
reached = [p for p in {closed:?} if open_(gateway, p)]
reached += [h for h in ("169.254.169.254", "127.0.0.1", "1.1.1.1") if open_(h, 80)]
agent = [p for p in ({readings}, {actions}) if not open_(gateway, p)]
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
print("uid", os.getuid(), "caps", status["CapEff"].strip(), "nnp", status["NoNewPrivs"].strip())
try:
    open("/app/written", "w"); reached.append("root file system")
except OSError:
    pass
print("reached", reached, "agent missing", agent)
if agent:
    print(met, open("/proc/net/arp").read(), open("/proc/net/route").read())
raise SystemExit(0 if not reached and not agent and os.getuid() != 0 and int(status["CapEff"], 16) == 0 and status["NoNewPrivs"].strip() == "1" else 4)
"#,
        readings = ports.agent_readings,
        actions = ports.agent_actions,
    );
    let name = format!("looks-around-{}", crate::client::mark());
    developer.upload(task(&name, &program)?).await?;
    let instance = id(&site.run_now(&developer, &name, json!({})).await?)?;
    let ended = instance_is(&developer, &instance, "succeeded").await;
    let lines = until("its log", std::time::Duration::from_secs(20), || async {
        let lines = developer.list(&format!("/api/v1/instances/{instance}/logs")).await?;
        Ok((!lines.is_empty()).then_some(lines))
    })
    .await?;
    ensure!(ended.is_ok(), "{ended:?}: {lines:?}");
    keeps_its_address(&gateway.to_string()).await
}

/// A bridge that takes the hardware address of a container changes it when that one ends, and the others miss the agent for a minute.
async fn keeps_its_address(gateway: &str) -> Result<()> {
    let shown = tokio::process::Command::new("ip")
        .args(["-4", "-o", "addr"])
        .output()
        .await?;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let line = shown.lines().find(|line| line.contains(&format!("inet {gateway}/")));
    let bridge = line
        .and_then(|line| line.split_whitespace().nth(1))
        .context("no bridge")?;
    let kind = std::fs::read_to_string(format!("/sys/class/net/{bridge}/addr_assign_type"))?;
    // `NET_ADDR_SET` of the kernel.
    ensure!(kind.trim() == "3", "{bridge} takes the address of a container");
    Ok(())
}
