//! An installation for tests: own name, ports and data directory, beside whatever else runs on the machine.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bootstrap::progress::{Reporter, reporter};
use bootstrap::{Installation, Options, Profile};
use common::config::Config;
use common::settings::{Settings, SmtpSettings};

use crate::client::Client;
use crate::faults;

/// Where the test installation lives; removed at the end.
const DATA_DIR: &str = "/var/tmp/iot-platform-tests";
/// Where a scenario may take mails.
const SMTP_PORT: u16 = 12_325;
/// Where a scenario may take posts.
pub const WEBHOOK_PORT: u16 = 12_326;
/// Password that the first admin chooses.
pub const ADMIN_PASSWORD: &str = "correct horse battery staple";

/// A running installation. With `KEEP_STACK` in the environment it is kept at the end and used again, for quick work on a scenario.
pub struct Stack {
    installation: Installation,
    reporter: Box<dyn Reporter>,
    settings: Settings,
    admin: Client,
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack")
            .field("name", &self.settings.name)
            .finish_non_exhaustive()
    }
}

/// Returns the configuration of the test installation: ports of its own, below the range from which the kernel takes ports for clients.
#[must_use]
pub fn config() -> Config {
    let mut config = Config {
        name: "iot-test".to_owned(),
        data_dir: PathBuf::from(DATA_DIR),
        ..Config::default()
    };
    config.console.port = 12_380;
    config.console.applications_port = 12_381;
    config.ports.mqtt = 12_383;
    config.ports.ingestion = 12_382;
    config.ports.kafka = 12_392;
    config.ports.kafka_controller = 12_393;
    config.ports.mongodb = 12_317;
    config.ports.registry = 12_350;
    config.ports.readings = 12_361;
    config.ports.actions = 12_362;
    config.ports.agent_readings = 12_371;
    config.ports.agent_actions = 12_372;
    config.ports.admin = 12_300;
    config.limits.webhook_private_addresses = true;
    config.smtp = Some(SmtpSettings {
        host: "127.0.0.1".to_owned(),
        port: SMTP_PORT,
        from: "platform@example.org".to_owned(),
        username: None,
        tls: false,
    });
    config
}

/// Returns the live tests' installation with the demo.
#[must_use]
pub fn with_demo() -> Installation {
    installation(Profile::Debug, true, true)
}

/// Returns the test installation, up or not.
fn installation(profile: Profile, console: bool, demo: bool) -> Installation {
    let options = Options {
        profile,
        console,
        demo,
        invocation: "cargo test --workspace".to_owned(),
        ..Options::default()
    };
    Installation::new(config(), options)
}

impl Stack {
    /// Brings up a fresh installation; what an interrupted run left is removed first.
    ///
    /// # Errors
    /// When a step fails.
    pub async fn up(profile: Profile, console: bool) -> Result<Self> {
        let installation = installation(profile, console, false);
        let reporter = reporter();
        let reuse = std::env::var_os("KEEP_STACK").is_some() && installation.layout().settings().exists();
        if !reuse && (installation.layout().settings().exists() || PathBuf::from(DATA_DIR).exists()) {
            installation.down(reporter.as_ref()).await?;
            installation.delete_data(reporter.as_ref()).await?;
        }
        installation
            .up(reporter.as_ref())
            .await
            .map_err(|failure| anyhow::anyhow!("{failure}"))?;
        let settings = installation.settings()?;
        let base = format!("http://127.0.0.1:{}", settings.ports.console);
        let admin = match Client::sign_in(&base, "admin", ADMIN_PASSWORD).await {
            Ok(admin) if reuse => admin,
            _ => {
                let first = settings.secret("first-admin.password")?;
                Client::sign_in_first(&base, "admin", &first, ADMIN_PASSWORD)
                    .await
                    .context("the first admin could not sign in")?
            }
        };
        crate::site::types(&admin).await?;
        Ok(Self {
            installation,
            reporter,
            settings,
            admin,
        })
    }

    /// Removes it.
    ///
    /// # Errors
    /// When something does not stop, or the Engine still has something of it.
    pub async fn remove(&self) -> Result<()> {
        self.installation.down(self.reporter.as_ref()).await?;
        self.installation.delete_data(self.reporter.as_ref()).await?;
        for kind in ["network", "service", "secret", "volume"] {
            let left = faults::docker(&[
                kind,
                "ls",
                "--quiet",
                "--filter",
                &format!("name={}-", self.settings.name),
            ])?;
            ensure!(left.is_empty(), "a {kind} is left: {left}");
        }
        Ok(())
    }

    /// Returns the installation, to call `up`, `down` and `status` on.
    #[must_use]
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// Returns who is told of steps.
    #[must_use]
    pub fn reporter(&self) -> &dyn Reporter {
        self.reporter.as_ref()
    }

    /// Returns what the services were told.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns a client signed in as the admin.
    #[must_use]
    pub fn admin(&self) -> &Client {
        &self.admin
    }

    /// Returns where the installation sends mails.
    #[must_use]
    pub fn smtp_port(&self) -> u16 {
        SMTP_PORT
    }

    /// Returns the address of the console.
    #[must_use]
    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.settings.ports.console)
    }

    /// Returns the process of a program of the installation.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn pid(&self, program: &str) -> Result<u32> {
        let status = self.installation.status().await?;
        let row = status
            .rows
            .iter()
            .find(|row| row.name == program)
            .with_context(|| format!("no program {program}"))?;
        row.pid
            .with_context(|| format!("{program} does not run: {}", row.state))
    }

    /// Waits until a program answers as ready under another process id than `old`.
    ///
    /// # Errors
    /// When it does not within `deadline`.
    pub async fn back(&self, program: &str, old: u32, deadline: Duration) -> Result<Duration> {
        let began = std::time::Instant::now();
        crate::wait::until(&format!("{program} is back"), deadline, || async {
            let status = self.installation.status().await?;
            let back = status
                .rows
                .iter()
                .any(|row| row.name == program && row.ready && row.pid.is_some_and(|pid| pid != old));
            Ok(back.then_some(()))
        })
        .await?;
        Ok(began.elapsed())
    }

    /// Waits until everything is ready.
    ///
    /// # Errors
    /// When it is not within `deadline`.
    pub async fn healthy(&self, deadline: Duration) -> Result<()> {
        crate::wait::until("everything is ready", deadline, || async {
            let status = self.installation.status().await?;
            let waiting: Vec<&str> = status
                .rows
                .iter()
                .filter(|row| !row.ready)
                .map(|row| row.name.as_str())
                .collect();
            anyhow::ensure!(waiting.is_empty(), "not ready: {}", waiting.join(", "));
            Ok(Some(()))
        })
        .await
    }
}
