//! What `up` makes so, in order. Each step looks first whether it is so already.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use common::config::Mode;

use crate::command::tail;
use crate::failure::{Exit, Failure};
use crate::installation::Installation;
use crate::mongodb::Server;
use crate::options::{Programs, Scope};
use crate::progress::Reporter;
use crate::{
    console, demo, engine, ferretdb, files, folders, image, kafka, mongodb, network, packages, postgresql, registry,
    release, restore, running, secrets,
};

/// A step of `up`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Packages and tools of the machine.
    Packages,
    /// Folders, account, what is chosen once.
    Folders,
    /// Secrets.
    Secrets,
    /// Docker Engine runs.
    Engine,
    /// It is a swarm.
    Swarm,
    /// Network of applications.
    Network,
    /// Its firewall.
    Firewall,
    /// Image that Python images are made of.
    BaseImage,
    /// Image that Python applications start from.
    PythonImage,
    /// Kafka's files.
    Kafka,
    /// MongoDB's files.
    Mongodb,
    /// The registry's files.
    Registry,
    /// Kafka, MongoDB and registry run.
    Infrastructure,
    /// What a backup has is in the database.
    Backup,
    /// The console's files.
    Console,
    /// The services' programs.
    Programs,
    /// What services read.
    Settings,
    /// Services run and are ready.
    Services,
    /// The demo's building is registered.
    DemoBuilding,
    /// Its sensors and devices are played.
    DemoSimulator,
    /// Its applications are uploaded and scheduled.
    DemoApplications,
    /// One of them has switched a fan.
    DemoFan,
}

/// Whether a step changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Made,
    Nothing,
}

impl From<bool> for Change {
    fn from(changed: bool) -> Self {
        if changed { Self::Made } else { Self::Nothing }
    }
}

impl Step {
    /// The steps for an installation.
    #[must_use]
    pub fn list(installation: &Installation) -> Vec<Self> {
        let mut steps = vec![
            Self::Packages,
            Self::Folders,
            Self::Secrets,
            Self::Engine,
            Self::Swarm,
            Self::Network,
            Self::Firewall,
            Self::BaseImage,
            Self::PythonImage,
        ];
        if installation.config.kafka.mode == Mode::Managed {
            steps.push(Self::Kafka);
        }
        if installation.config.mongodb.mode == Mode::Managed {
            steps.push(Self::Mongodb);
        }
        steps.extend([Self::Registry, Self::Infrastructure]);
        if restore::under_way(&installation.layout) {
            steps.push(Self::Backup);
        }
        if installation.options.scope == Scope::All {
            // It is part of a program that is compiled here.
            if installation.options.console && installation.options.programs == Programs::Compiled {
                steps.push(Self::Console);
            }
            steps.extend([Self::Programs, Self::Settings, Self::Services]);
            if installation.options.demo {
                steps.extend([
                    Self::DemoBuilding,
                    Self::DemoSimulator,
                    Self::DemoApplications,
                    Self::DemoFan,
                ]);
            } else if demo::simulation_file(&installation.layout).exists() {
                steps.push(Self::DemoSimulator);
            }
        } else {
            steps.push(Self::Settings);
        }
        steps
    }

    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Packages => "packages of this machine",
            Self::Folders => "folders and account",
            Self::Secrets => "secrets",
            Self::Engine => "docker engine",
            Self::Swarm => "swarm",
            Self::Network => "network of applications",
            Self::Firewall => "firewall of applications",
            Self::BaseImage => "base image",
            Self::PythonImage => "python image",
            Self::Kafka => "kafka's files",
            Self::Mongodb => "mongodb's files",
            Self::Registry => "registry's files",
            Self::Infrastructure => "kafka, mongodb and registry run",
            Self::Backup => "database of the backup",
            Self::Console => "console",
            Self::Programs => "programs of the services",
            Self::Settings => "settings",
            Self::Services => "services run",
            Self::DemoBuilding => "demo building",
            Self::DemoSimulator => "demo's simulator runs",
            Self::DemoApplications => "demo's applications",
            Self::DemoFan => "an application has switched the fan",
        }
    }

    /// What is usually the matter when it fails.
    fn advice(self) -> &'static str {
        match self {
            Self::Packages => {
                "the package sources cannot be reached, or another package manager is at work; try `apt-get update`"
            }
            Self::Folders | Self::Secrets | Self::Settings | Self::Registry => {
                "the disk is full or read-only, or a file named in config.json is missing"
            }
            Self::Engine => {
                "the kernel or container lacks something the engine needs (cgroups, iptables, overlay); its log names it"
            }
            Self::Swarm => "this engine belongs to another swarm, or port 2377 is taken",
            Self::Network => "an older network of this name is in use; `down` removes what uses it",
            Self::Firewall => "iptables is not usable in this kernel or container",
            Self::BaseImage | Self::PythonImage => {
                "neither a container registry nor the Debian mirror can be reached, or the disk is full"
            }
            Self::Kafka => "Maven's repository cannot be reached; behind a proxy it needs a settings.xml",
            Self::Mongodb => "the Go module proxy cannot be reached, or the disk is full",
            Self::Infrastructure => "a program ends right after it starts; its log names the reason",
            Self::Backup => {
                "the backup was made with a newer PostgreSQL or MongoDB than the one here, or the disk is full"
            }
            Self::Console => "the npm registry cannot be reached, or the console's sources do not compile",
            Self::Programs => "crates.io cannot be reached, the sources do not compile, or the disk is full",
            Self::Services => "a service cannot reach Kafka or MongoDB; its log names the reason",
            Self::DemoBuilding => "the platform refused a part of the building; the message says why",
            Self::DemoSimulator => "the simulator ends right after it starts; its log names the reason",
            Self::DemoApplications => "an image could not be built; the application's page in the console has the log",
            Self::DemoFan => "the schedule was stopped, or the application fails; its page in the console says why",
        }
    }

    fn log(self, installation: &Installation) -> PathBuf {
        let name = match self {
            Self::Engine | Self::Swarm => return engine::log(),
            Self::Packages => "packages",
            Self::Console => "build-console",
            Self::Programs => "build",
            Self::DemoSimulator => demo::SIMULATOR,
            _ => "up",
        };
        // Before the data folder exists, and for a machine that is only prepared, the log is the machine's.
        if self == Self::Packages {
            crate::Layout::machine().join("packages.log")
        } else {
            installation.layout.log(name)
        }
    }

    async fn is_so(self, on: &Installation) -> Result<bool> {
        let (config, layout) = (&on.config, &on.layout);
        Ok(match self {
            Self::Packages => packages::missing(config, layout, on.server().await).await.is_nothing(),
            Self::Folders => folders::present(on).await,
            Self::Secrets => secrets::present(config, layout),
            Self::Engine => engine::answers().await,
            Self::Swarm => engine::swarm_active().await,
            Self::Network => match on.subnet() {
                Some(subnet) => network::present(&on.names(), subnet).await,
                None => false,
            },
            Self::Firewall => match on.subnet() {
                Some(subnet) => on.firewall(subnet).present().await,
                None => false,
            },
            Self::BaseImage => image::base_present().await,
            Self::PythonImage => image::python_present(&config.name, layout).await,
            Self::Kafka => kafka::present(config, layout),
            Self::Mongodb => match on.server().await {
                Server::Mongod => mongodb::present(layout),
                Server::Ferretdb => ferretdb::present(config, layout) && postgresql::present(config, layout),
            },
            Self::Registry => registry::present(config, layout),
            Self::Infrastructure => running::infrastructure_runs(on).await?,
            Self::Backup => !restore::under_way(layout),
            Self::Console => console::present(layout),
            // Cargo decides.
            Self::Programs => false,
            Self::Settings => files::holds(&layout.settings(), &on.settings_text().await?) && sdk_current(on),
            Self::Services => running::services_run(on).await?,
            Self::DemoBuilding => demo::building_present(on).await?,
            Self::DemoSimulator => demo::simulator_runs(on).await?,
            Self::DemoApplications => demo::applications_present(on).await?,
            Self::DemoFan => demo::fan_switched(on).await?,
        })
    }

    async fn make_so(self, on: &Installation) -> Result<Change> {
        let (config, layout) = (&on.config, &on.layout);
        let log = self.log(on);
        match self {
            Self::Packages => {
                let missing = packages::missing(config, layout, on.server().await).await;
                packages::install(&missing, &log).await?;
            }
            Self::Folders => folders::make(on).await?,
            Self::Secrets => secrets::make(config, layout).await?,
            Self::Engine => engine::start().await?,
            Self::Swarm => engine::init_swarm().await?,
            Self::Network => make_network(on).await?,
            Self::Firewall => on.firewall(on.choose_subnet().await?).apply().await?,
            Self::BaseImage => image::make_base(&log).await?,
            Self::PythonImage => image::make_python(&config.name, layout, &log).await?,
            Self::Kafka => kafka::make(config, layout, &log).await?,
            Self::Mongodb => match on.server().await {
                Server::Mongod => mongodb::make(config, layout).await?,
                Server::Ferretdb => {
                    ferretdb::make(config, layout, &log).await?;
                    postgresql::make(config, layout, &log).await?;
                }
            },
            Self::Registry => registry::make(config, layout).await?,
            Self::Infrastructure => running::run_infrastructure(on).await?,
            Self::Backup => restore::fill(on).await?,
            Self::Console => console::make(layout, &log).await?,
            Self::Programs => return release::put(on, &log).await.map(Change::from),
            Self::Settings => write_settings(on).await?,
            Self::Services => running::run_services(on).await?,
            Self::DemoBuilding => demo::make_building(on).await?,
            Self::DemoSimulator => demo::run_simulator(on).await?,
            Self::DemoApplications => demo::make_applications(on).await?,
            Self::DemoFan => demo::wait_for_fan(on).await?,
        }
        Ok(Change::Made)
    }
}

/// What a run of steps came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Done {
    /// Whether anything was changed.
    pub(crate) changed: bool,
    /// How long compiling took: it depends on the machine more than on the platform.
    pub(crate) compiled: Duration,
}

/// Runs steps in order.
pub(crate) async fn run(
    on: &Installation,
    steps: &[Step],
    verb: &str,
    reporter: &dyn Reporter,
) -> Result<Done, Failure> {
    let mut done = Done::default();
    for (index, step) in steps.iter().enumerate() {
        let (number, began) = (index + 1, Instant::now());
        let result = async {
            if step.is_so(on).await? {
                return Ok(Change::Nothing);
            }
            reporter.begins(number, steps.len(), step.name());
            step.make_so(on).await
        };
        match result.await {
            Ok(change) => {
                let did = if change == Change::Made { "done" } else { "already so" };
                done.changed |= change == Change::Made;
                if matches!(step, Step::Programs | Step::Console) {
                    done.compiled += began.elapsed();
                }
                reporter.ends(number, steps.len(), step.name(), did, began.elapsed());
            }
            Err(error) => return Err(failure(on, *step, verb, &error)),
        }
    }
    Ok(done)
}

fn failure(on: &Installation, step: Step, verb: &str, error: &anyhow::Error) -> Failure {
    let log = match error.downcast_ref::<running::NotReady>() {
        Some(not_ready) => on.layout.log(&not_ready.name),
        None => step.log(on),
    };
    let lines = tail(&log, 15);
    Failure {
        exit: Exit::Failed,
        step: Some(step.name()),
        message: format!("{error:#}"),
        advice: Some(step.advice()),
        log: (!lines.is_empty()).then(|| Box::new((log, lines))),
        resume: Some(format!("{} {verb}", on.options.invocation)),
    }
}

async fn make_network(on: &Installation) -> Result<()> {
    let (name, names) = (&on.config.name, on.names());
    if on.subnet().is_none() {
        network::forget(name, &names).await?;
    }
    network::create(name, &names, on.choose_subnet().await?).await
}

fn sdk_source(on: &Installation) -> PathBuf {
    on.options.workspace.join("sdk/python")
}

fn sdk_current(on: &Installation) -> bool {
    let source = sdk_source(on);
    !source.exists() || files::holds(&on.layout.part("sdk.fingerprint"), &files::tree_fingerprint(&source))
}

async fn write_settings(on: &Installation) -> Result<()> {
    if !sdk_current(on) {
        let (source, target) = (sdk_source(on), on.layout.sdk());
        if target.exists() {
            std::fs::remove_dir_all(&target).context("could not remove the old SDK")?;
        }
        files::copy_tree(&source, &target)?;
        files::write(
            &on.layout.part("sdk.fingerprint"),
            &files::tree_fingerprint(&source),
            0o644,
        )?;
    }
    files::write(&on.layout.settings(), &on.settings_text().await?, 0o644).map(drop)
}
