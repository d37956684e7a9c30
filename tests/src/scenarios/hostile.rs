//! What must be refused: with a place, what was found and what is allowed, and with nothing left behind.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bootstrap::demo::bundle::of_files;
use common::rights::ADMIN_ACCOUNT;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use simulator::config::Protocol;

use crate::client::{Client, mark, member};
use crate::site::{Plan, Site};
use crate::stack::Stack;
use crate::wait::until;

fn manifest(change: impl FnOnce(&mut Value)) -> String {
    let mut manifest = json!({
        "manifest": 1, "name": format!("hostile-{}", mark()), "title": "Hostile", "version": "1.0.0", "runtime": { "python": "3" },
        "start": ["python3", "main.py"], "slots": { "temperature": { "sensor": "temperature" } },
    });
    change(&mut manifest);
    manifest.to_string()
}

/// Zips and what the answer must contain.
fn uploads() -> Result<Vec<(&'static str, Vec<u8>, &'static str)>> {
    let main = ("main.py", "print('never')\n");
    let good = of_files(&[("app.json", &manifest(|_| {})), main])?;
    let with = |name: &str| of_files(&[("app.json", &manifest(|_| {})), main, (name, "x")]);
    let changed = |change: fn(&mut Value)| of_files(&[("app.json", &manifest(change)), main]);
    let bomb = "0".repeat(40 * 1024 * 1024);
    Ok(vec![
        ("not a zip", b"I am a text".to_vec(), "zip"),
        (
            "truncated",
            good.get(..good.len() / 2).unwrap_or_default().to_vec(),
            "zip",
        ),
        ("traversal", with("../../etc/cron.d/evil")?, "../../etc/cron.d/evil"),
        ("absolute", with("/etc/passwd")?, "/etc/passwd"),
        (
            "bomb",
            of_files(&[("app.json", &manifest(|_| {})), main, ("big.txt", &bomb)])?,
            "big.txt",
        ),
        ("no manifest", of_files(&[main])?, "app.json"),
        ("unknown field", changed(|it| it["slot"] = json!({}))?, "slot"),
        ("wrong type", changed(|it| it["version"] = json!(1))?, "version"),
        (
            "unknown sensor type",
            changed(|it| it["slots"]["temperature"]["sensor"] = json!("temprature"))?,
            "temprature",
        ),
        (
            "missing start file",
            changed(|it| it["start"] = json!(["python3", "nowhere.py"]))?,
            "nowhere.py",
        ),
    ])
}

/// Hostile and wrong bundles: refused with a report, and nothing left behind.
pub(super) async fn bundles(stack: &Stack) -> Result<()> {
    let developer = member(stack.admin(), "hugo", &["developer"]).await?;
    let before = traces(stack, &developer).await?;
    for (what, zip, named) in uploads()? {
        let answer = developer.upload_only(zip).await?;
        let body = answer.body.to_string();
        ensure!(answer.status.is_client_error(), "{what}: {} {body}", answer.status);
        ensure!(
            body.contains(named),
            "{what}: the answer does not name `{named}`: {body}"
        );
    }
    let after = traces(stack, &developer).await?;
    ensure!(before == after, "left behind: {after:?}, before: {before:?}");
    Ok(())
}

/// What an upload could leave: applications, stored bundles, files.
async fn traces(stack: &Stack, user: &Client) -> Result<(usize, u64, usize)> {
    let applications = user.list("/api/v1/applications").await?.len();
    let mongo = runtime::mongo::Mongo::connect(stack.settings(), ADMIN_ACCOUNT).await?;
    let bundles = mongo.database().collection::<Value>("bundles.files");
    let bundles = bundles.count_documents(Default::default()).await?;
    let uploads = stack.settings().data_dir.join("uploads");
    let files = std::fs::read_dir(&uploads)
        .with_context(|| format!("no {}", uploads.display()))?
        .count();
    Ok((applications, bundles, files))
}

/// Readings that do not parse or can not be true: refused, counted and shown.
pub(super) async fn readings(stack: &Stack) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let plan = Plan {
        protocol: Protocol::Http,
        sensors: 1,
        ..Plan::room("Doubtful room")
    };
    let site = Site::register(stack, &plan, folder.path()).await?;
    let sensor = site.sensors.first().context("a sensor")?;
    let address = format!(
        "http://127.0.0.1:{}/v1/sensors/{sensor}/readings",
        stack.settings().ports.ingestion
    );
    let http = reqwest::Client::builder().no_proxy().build()?;
    let send = |body: &'static str| {
        http.post(&address)
            .basic_auth(&site.connector.0, Some(&site.connector.1))
            .body(body)
            .send()
    };
    for (body, named) in [
        ("warm", "warm"),
        ("1e9", "100"),
        (r#"{"values":{"humidity":5}}"#, "humidity"),
    ] {
        let answer = send(body).await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status == StatusCode::BAD_REQUEST, "{body}: {status} {text}");
        ensure!(
            text.contains(named),
            "{body}: the answer does not name `{named}`: {text}"
        );
    }
    ensure!(
        send("21.5").await?.status() == StatusCode::ACCEPTED,
        "a good one is taken"
    );
    until("three are shown", Duration::from_secs(20), || async {
        let shown = stack.admin().list("/api/v1/quarantine").await?;
        let ours = shown
            .iter()
            .filter(|entry| entry["sensor"]["id"] == sensor.as_str())
            .count();
        Ok((ours == 3).then_some(()))
    })
    .await
}

/// Schedules that can never be due.
pub(super) async fn schedules(stack: &Stack) -> Result<()> {
    let user = member(stack.admin(), "cora", &["end_user"]).await?;
    for (when, named) in [
        (
            json!({ "kind": "cron", "expression": "61 * * * *", "zone": "UTC" }),
            "61 * * * *",
        ),
        (
            json!({ "kind": "cron", "expression": "0 0 30 2 *", "zone": "UTC" }),
            "0 0 30 2 *",
        ),
        (
            json!({ "kind": "cron", "expression": "@daily", "zone": "Mars/Olympus" }),
            "Mars/Olympus",
        ),
    ] {
        let answer = user
            .send(
                Method::POST,
                "/api/v1/schedules/preview",
                Some(&json!({ "when": when })),
            )
            .await?;
        let body = answer.body.to_string();
        ensure!(answer.status.is_client_error(), "{when}: {} {body}", answer.status);
        ensure!(
            body.contains(named),
            "{when}: the answer does not name `{named}`: {body}"
        );
    }
    Ok(())
}

/// What `bootstrap` says before anything is started.
pub(super) async fn configurations(stack: &Stack) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut other = crate::stack::config();
    other.name = "iot-never".to_owned();
    other.data_dir = folder.path().join("data");
    let file = folder.path().join("config.json");
    let mut wrong = serde_json::to_value(&other)?;
    wrong["console"] = json!({ "prot": 80 });
    let run = |arguments: &[&str], config: &Value| -> Result<(Option<i32>, String)> {
        std::fs::write(&file, config.to_string())?;
        crate::admin::run(&file, arguments)
    };
    let (code, said) = run(&["up"], &wrong)?;
    ensure!(code == Some(3), "{code:?} {said}");
    ensure!(
        said.contains("console.prot") && said.contains("did you mean `port`"),
        "{said}"
    );

    // The ports of the test installation are taken: by it.
    let taken = stack.settings().ports.console;
    let (code, said) = run(&["up"], &serde_json::to_value(&other)?)?;
    ensure!(code == Some(6), "{code:?} {said}");
    ensure!(
        said.contains(&format!("port {taken} is taken")) && said.contains("nothing was started"),
        "{said}"
    );
    ensure!(!other.data_dir.exists(), "a folder was made");

    no_root(&file, &folder)?;
    no_disk(&file, &mut other, folder.path())
}

fn no_root(file: &Path, folder: &tempfile::TempDir) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    let program = folder.path().join("bootstrap");
    std::fs::copy(crate::admin::program()?, &program)?;
    let arguments = ["--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    let output = std::process::Command::new("setpriv")
        .args(arguments)
        .arg(&program)
        .arg("--config")
        .arg(file)
        .arg("up")
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(6) && said.contains("sudo"),
        "{:?} {said}",
        output.status
    );
    Ok(())
}

fn no_disk(file: &Path, other: &mut common::config::Config, folder: &Path) -> Result<()> {
    let small = folder.join("small");
    std::fs::create_dir(&small)?;
    let mount = |program: &str, arguments: &[&str]| -> Result<()> {
        let status = std::process::Command::new(program)
            .args(arguments)
            .arg(&small)
            .status()?;
        ensure!(status.success(), "{program} ended with {status}");
        Ok(())
    };
    mount("mount", &["-t", "tmpfs", "-o", "size=1m", "tmpfs"])?;
    other.data_dir = small.join("data");
    std::fs::write(file, serde_json::to_string(&other)?)?;
    let outcome = crate::admin::run(file, &["up"]);
    mount("umount", &[])?;
    let (code, said) = outcome?;
    ensure!(
        code == Some(6) && said.contains("MiB free") && said.contains("data_dir"),
        "{code:?} {said}"
    );
    Ok(())
}
