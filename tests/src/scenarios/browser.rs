//! A person with a browser: Chromium, driven by the scripts in `tests/browser`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::site::bundle;
use crate::stack::{ADMIN_PASSWORD, Stack};

/// What the scripts wait for has deadlines of its own; what a browser that hangs is asked for has not.
const LONGEST: Duration = Duration::from_secs(900);

/// From sign-in to a device and back, in the console only.
pub(super) async fn path(stack: &Stack) -> Result<()> {
    play(stack, "path.mjs").await
}

/// Every page in every state, wide and narrow, light and dark: nothing overflows, nothing violates axe's rules.
pub(super) async fn pages(stack: &Stack) -> Result<()> {
    play(stack, "pages.mjs").await
}

async fn play(stack: &Stack, script: &str) -> Result<()> {
    let chromium = chromium()?;
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    packages(&scripts).await?;
    let folder = tempfile::tempdir()?;
    let zip = folder.path().join("room-comfort.zip");
    std::fs::write(
        &zip,
        bundle("room-comfort", &format!("browsed-{}", crate::client::mark()))?,
    )?;
    // Pictures of what went wrong outlive the run.
    let pictures = std::env::temp_dir().join("iot-platform-browser");
    std::fs::create_dir_all(&pictures)?;
    let mut person = bootstrap::node("node");
    person
        .arg(scripts.join(script))
        .env("BASE", stack.base())
        .env(
            "INGESTION",
            format!("http://127.0.0.1:{}", stack.settings().ports.ingestion),
        )
        .env("ADMIN_PASSWORD", ADMIN_PASSWORD)
        // Every state in every width and theme is for whoever works on the console.
        .env("BRIEF", "1")
        .env("BUNDLE", &zip)
        .env("CHROMIUM", chromium)
        .env("OUT", &pictures)
        .kill_on_drop(true);
    let status = tokio::time::timeout(LONGEST, person.status()).await;
    let status = status.with_context(|| format!("{script} did not end within {} s", LONGEST.as_secs()))??;
    ensure!(
        status.success(),
        "{script} ended with {status}; pictures are in {}",
        pictures.display()
    );
    Ok(())
}

/// Installs the packages that the scripts need, unless they are there.
async fn packages(scripts: &Path) -> Result<()> {
    let modified = |path: PathBuf| std::fs::metadata(path).and_then(|file| file.modified()).ok();
    let installed = modified(scripts.join("node_modules/.package-lock.json"));
    if installed.is_some() && installed >= modified(scripts.join("package-lock.json")) {
        return Ok(());
    }
    let status = bootstrap::node("npm")
        .args(["ci", "--no-audit", "--no-fund"])
        .current_dir(scripts)
        .status()
        .await?;
    ensure!(status.success(), "npm ci ended with {status}");
    Ok(())
}

/// Returns where Chromium is; installs the distribution's where there is none.
fn chromium() -> Result<PathBuf> {
    let known = || {
        [
            "/usr/bin/chromium",
            "/usr/bin/chromium-browser",
            "/usr/bin/google-chrome",
        ]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.exists())
    };
    if let Some(found) = known() {
        return Ok(found);
    }
    crate::distribution::install("chromium")?;
    known().context("the package chromium brought no /usr/bin/chromium")
}
