//! An installation: what a config, a source tree and options make of a machine.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use common::config::{Config, Mode, SERVICES};
use common::settings::Settings;
use serde::{Deserialize, Serialize};

use crate::accounts::Passwords;
use crate::failure::{Exit, Failure};
use crate::firewall::Firewall;
use crate::first_admin::{self, OneTime};
use crate::layout::Layout;
use crate::mongodb::{self, Server};
use crate::network::{self, Names, Subnet};
use crate::options::{Options, Scope};
use crate::progress::Reporter;
use crate::settings::HostFacts;
use crate::steps::{self, Step};
use crate::supervisor::Supervisor;
use crate::{command, files, preflight, release, restore, secrets, settings};

/// What is decided once for a host and kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Choices {
    /// What serves the MongoDB protocol.
    pub(crate) mongodb: Server,
    /// The application network's addresses.
    pub(crate) subnet: Option<Subnet>,
}

/// An installation.
#[derive(Debug)]
pub struct Installation {
    pub(crate) config: Config,
    pub(crate) layout: Layout,
    pub(crate) options: Options,
}

/// How `up` ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Whether anything was changed.
    pub changed: bool,
    /// Where people open the console.
    pub address: String,
    /// Where else: the console runs on several of many hosts.
    pub also: Vec<String>,
    /// The first admin's one-time password, while unused.
    pub first_password: Option<String>,
    /// How long it took.
    pub took: Duration,
    /// How much of it was compiling.
    pub compiled: Duration,
}

impl Installation {
    /// An installation; nothing is touched yet.
    #[must_use]
    pub fn new(config: Config, options: Options) -> Self {
        let layout = Layout::new(&config.data_dir, &options.workspace);
        Self {
            config,
            layout,
            options,
        }
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where its files are.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What its services read; there once `up` has written it.
    ///
    /// # Errors
    /// When it is not there yet.
    pub fn settings(&self) -> Result<Settings> {
        Settings::load(&self.layout.settings()).context("the installation is not up")
    }

    /// Brings it up. What is so already is left alone, so an interrupted run is continued by another.
    ///
    /// # Errors
    /// What stands in the way (nothing was started then), or the step that failed.
    pub async fn up(&self, reporter: &dyn Reporter) -> Result<Summary, Failure> {
        let began = Instant::now();
        self.preflight().await?;
        let _lock = lock(reporter).await?;
        restore::empty(self, reporter).await?;
        if self.options.rotate {
            if !self.layout.marker().exists() {
                return Err(Failure::new(
                    Exit::Failed,
                    "nothing is installed; `up` makes new passwords anyway",
                ));
            }
            // What takes long, or may fail, comes while everything still runs.
            let building = [
                Step::Packages,
                Step::BaseImage,
                Step::PythonImage,
                Step::Console,
                Step::Programs,
            ];
            let wanted = Step::list(self).into_iter().filter(|step| building.contains(step));
            steps::run(self, &wanted.collect::<Vec<_>>(), &self.options.verb, reporter).await?;
            secrets::brought(&self.config)?;
            secrets::authorities(&self.config)?;
            // Services that cannot sign in any more would besiege Kafka, and end slowly.
            let supervisor = self.supervisor();
            if supervisor.pid().await.is_some() {
                supervisor.apply("services", &[]).await?;
            }
            secrets::forget_accounts(&self.layout)?;
        }
        let done = steps::run(self, &Step::list(self), &self.options.verb, reporter).await?;
        Ok(Summary {
            changed: done.changed,
            address: self.address(),
            also: Vec::new(),
            first_password: self.first_password().await?,
            took: began.elapsed(),
            compiled: done.compiled,
        })
    }

    /// The first admin's one-time password; forgotten once it has been used.
    async fn first_password(&self) -> Result<Option<String>> {
        let Some(password) = secrets::first_password(&self.layout) else {
            return Ok(None);
        };
        if self.options.scope == Scope::All
            && first_admin::ask(&format!("http://127.0.0.1:{}", self.config.console.port), &password).await
                == OneTime::Used
        {
            secrets::forget_first_password(&self.layout)?;
            return Ok(None);
        }
        Ok(Some(password))
    }

    /// Name of the release in use.
    #[must_use]
    pub fn release(&self) -> Option<String> {
        release::in_use(&self.layout)
    }

    /// Name of an earlier release that was kept: of that name, or the one before the one in use.
    ///
    /// # Errors
    /// When it was not; what was is in the message.
    pub fn earlier_release(&self, wanted: Option<&str>) -> Result<String, Failure> {
        release::earlier(&self.layout, wanted).map_err(|error| Failure::new(Exit::Usage, format!("{error:#}")))
    }

    /// Installs what the machine needs.
    ///
    /// # Errors
    /// Without root, or when packages cannot be installed.
    pub async fn prerequisites(&self, reporter: &dyn Reporter) -> Result<bool, Failure> {
        if !preflight::is_root() {
            return Err(Failure::new(
                Exit::Preflight,
                "this command needs root; run it again with sudo",
            ));
        }
        let _lock = lock(reporter).await?;
        let done = steps::run(self, &[Step::Packages], "prerequisites", reporter).await?;
        Ok(done.changed)
    }

    pub(crate) async fn preflight(&self) -> Result<(), Failure> {
        let found = preflight::look(&self.config, &self.layout).await;
        let problems = preflight::problems(&found, &self.config.data_dir);
        if problems.is_empty() {
            return Ok(());
        }
        let message = format!("nothing was started, because:\n  - {}", problems.join("\n  - "));
        Err(Failure::new(Exit::Preflight, message))
    }

    /// Restarts a program, or all services.
    ///
    /// # Errors
    /// When it is not running, or the name is not known.
    pub async fn restart(&self, program: Option<&str>) -> Result<(), Failure> {
        let supervisor = self.supervisor();
        let known: Vec<String> = match supervisor.pid().await {
            Some(_) => supervisor.states().await?.into_keys().collect(),
            None => {
                return Err(Failure::new(
                    Exit::Unhealthy,
                    format!(
                        "`{}` is not up; start it: {} up",
                        self.config.name, self.options.invocation
                    ),
                ));
            }
        };
        let programs: Vec<String> = match program {
            Some(name) if known.iter().any(|program| program == name) => vec![name.to_owned()],
            Some(name) => {
                let message = format!("there is no program `{name}`; allowed: {}", known.join(", "));
                return Err(Failure::new(Exit::Usage, message));
            }
            None => known
                .into_iter()
                .filter(|name| SERVICES.contains(&name.as_str()) || name == "agent")
                .collect(),
        };
        supervisor.restart(&programs).await?;
        Ok(())
    }

    /// Where people open the console.
    pub(crate) fn address(&self) -> String {
        let host = self.config.host().address.unwrap_or_else(own_address);
        console_address(&self.config, &host)
    }

    /// The process that supervises everything of this installation, while it runs.
    pub async fn supervisor_pid(&self) -> Option<u32> {
        self.supervisor().pid().await
    }

    pub(crate) fn supervisor(&self) -> Supervisor {
        Supervisor::new(&self.layout.supervisor(), &self.layout.logs())
    }

    pub(crate) fn names(&self) -> Names {
        Names::new(&self.config.name)
    }

    /// What was chosen for this host, or would be.
    pub(crate) async fn server(&self) -> Server {
        match self.choices() {
            Some(choices) => choices.mongodb,
            None => mongodb::choose().await,
        }
    }

    pub(crate) fn choices(&self) -> Option<Choices> {
        serde_json::from_str(&std::fs::read_to_string(self.layout.choices()).ok()?).ok()
    }

    /// Decides once and keeps it.
    pub(crate) async fn choose(&self) -> Result<Choices> {
        if let Some(choices) = self.choices() {
            return Ok(choices);
        }
        self.keep(Choices {
            mongodb: mongodb::choose().await,
            subnet: None,
        })
    }

    /// The application network's addresses, chosen once the Engine runs.
    pub(crate) async fn choose_subnet(&self) -> Result<Subnet> {
        let choices = self.choose().await?;
        if let Some(subnet) = choices.subnet {
            return Ok(subnet);
        }
        let taken = network::taken().await?;
        let subnet = network::choose_subnet(&self.config.name, &taken)
            .context("no /24 between 10.80.0.0 and 10.111.255.0 is free for applications")?;
        self.keep(Choices {
            subnet: Some(subnet),
            ..choices
        })?;
        Ok(subnet)
    }

    pub(crate) fn keep(&self, choices: Choices) -> Result<Choices> {
        files::write(&self.layout.choices(), &serde_json::to_string_pretty(&choices)?, 0o644)?;
        Ok(choices)
    }

    pub(crate) fn subnet(&self) -> Option<Subnet> {
        self.choices()?.subnet
    }

    pub(crate) fn firewall(&self, subnet: Subnet) -> Firewall {
        let ports = [self.config.ports.agent_readings, self.config.ports.agent_actions];
        Firewall::new(&self.config.name, &self.names().bridge, subnet.gateway(), ports)
    }

    /// The text of `settings.json`.
    pub(crate) async fn settings_text(&self) -> Result<String> {
        let subnet = self.choose_subnet().await?;
        let host_name = command::text(command::command("uname", ["-n"])).await?;
        let facts = HostFacts {
            host_name,
            address: own_address(),
            gateway: subnet.gateway(),
            ca_bundle: ca_bundle(),
            restored: self.layout.restored().exists(),
            registry_access: Passwords::read(&self.layout)?.registry_access(),
            mongodb_accounts: self.config.mongodb.mode == Mode::Managed && self.server().await == Server::Ferretdb,
        };
        let settings = settings::derive(&self.config, &self.layout, &facts);
        Ok(format!("{}\n", serde_json::to_string_pretty(&settings)?))
    }
}

/// Where people open the console of a host.
pub(crate) fn console_address(config: &Config, host: &str) -> String {
    match (&config.tls, config.console.port, config.console.tls_port) {
        (Some(_), _, 443) => format!("https://{host}/"),
        (Some(_), _, port) => format!("https://{host}:{port}/"),
        (None, 80, _) => format!("http://{host}/"),
        (None, port, _) => format!("http://{host}:{port}/"),
    }
}

/// The CA bundle that the environment names for `pip` or for everything.
fn ca_bundle() -> Option<PathBuf> {
    ["PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"]
        .into_iter()
        .find_map(std::env::var_os)
        .map(PathBuf::from)
        .filter(|path| path.is_file())
}

/// The address this machine would use towards others. Nothing is sent.
fn own_address() -> String {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0");
    socket
        .and_then(|socket| socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr()))
        .map_or_else(|_| "127.0.0.1".to_owned(), |address| address.ip().to_string())
}

/// Two commands do not change one machine at once.
pub(crate) async fn lock(reporter: &dyn Reporter) -> Result<std::fs::File> {
    let path = Layout::machine().join("bootstrap.lock");
    files::create_dir(&Layout::machine())?;
    let file = std::fs::File::create(&path).with_context(|| format!("could not open {}", path.display()))?;
    if file.try_lock().is_err() {
        reporter.says("another bootstrap command is at work; waiting for it");
        while file.try_lock().is_err() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(file)
}
