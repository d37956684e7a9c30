//! The command line.

mod remote;

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};

use clap::{Parser, Subcommand, ValueEnum};
use common::config::Config;

use crate::failure::{Exit, Failure};
use crate::installation::{Installation, Options, Profile, Scope, Summary};
use crate::preflight;
use crate::progress::{Reporter, reporter, seconds};

/// Installs, starts, shows and stops the platform on this machine, or over SSH on the hosts that config.json names.
///
/// Exit codes: 0 done, 1 a step failed, 2 wrong command line, 3 wrong config.json, 4 a host cannot be reached or does not let us in,
/// 5 the key of a host is not the one that is known, 6 the machine does not allow it (nothing was started), 7 something is not
/// running or not ready, 8 another command is changing a host, 9 there is something to do (`plan --detailed-exitcode` only).
#[derive(Debug, Parser)]
#[command(name = "bootstrap", version)]
struct Arguments {
    /// The configuration; without the option a missing file means the defaults.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring everything up; what is so already is left alone.
    Up {
        /// Bring up a part: everything but the six services and the node agent.
        #[arg(long, value_name = "PART")]
        only: Option<Part>,
        /// Add a simulated building with sensors and devices, and two sample applications that run on them.
        #[arg(long, conflicts_with = "only")]
        demo: bool,
        /// For working on the services: compile them without optimisation, and take the console as it lies there.
        #[arg(long)]
        debug: bool,
    },
    /// Show what `up` would do on the hosts, and do nothing.
    Plan {
        /// End with 9 when there is something to do.
        #[arg(long)]
        detailed_exitcode: bool,
        /// For working on the services: compile them without optimisation, and take the console as it lies there.
        #[arg(long)]
        debug: bool,
    },
    /// Show what runs.
    Status,
    /// Show logs.
    Logs {
        /// Go on showing what is added.
        #[arg(short, long)]
        follow: bool,
        /// Lines to begin with.
        #[arg(short = 'n', long, default_value_t = 100)]
        lines: u32,
        /// A service or a piece of infrastructure; absent: all.
        service: Option<String>,
    },
    /// Restart a service, or all of them.
    Restart {
        /// A service or a piece of infrastructure; absent: the six services and the node agent.
        service: Option<String>,
    },
    /// Stop everything; data stays.
    Down {
        /// Remove all data, too.
        #[arg(long)]
        delete_data: bool,
        /// Do not ask.
        #[arg(long, requires = "delete_data")]
        yes: bool,
    },
    /// Make new passwords for all accounts (and new certificates between hosts), and restart what uses them.
    ///
    /// Readings and schedules go on where they were; the console is away for some seconds. Interrupted, it is run again.
    Rotate {
        /// For working on the services: compile them without optimisation, and take the console as it lies there.
        #[arg(long)]
        debug: bool,
    },
    /// Install the packages that this machine needs.
    Prerequisites,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Part {
    /// Docker Engine, Kafka, MongoDB, registry.
    Infrastructure,
}

/// Runs the command line of this process.
pub async fn run() -> ExitCode {
    let arguments = Arguments::parse();
    match execute(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if write!(std::io::stderr(), "{failure}").is_err() {
                // Nobody reads.
            }
            ExitCode::from(failure.exit as u8)
        }
    }
}

async fn execute(arguments: Arguments) -> Result<(), Failure> {
    let mut options = Options::default();
    if let Some(path) = &arguments.config {
        options.invocation = format!("{} --config {}", options.invocation, path.display());
    }
    let config = load(arguments.config, &options)?;
    let reporter = reporter();
    if config.is_remote() {
        return remote::execute(arguments.command, config, options, &*reporter).await;
    }
    match arguments.command {
        Command::Plan { .. } => Err(Failure::new(
            Exit::Usage,
            "`plan` is for hosts that are reached over SSH; on this machine `up` changes only what is not so already",
        )),
        Command::Up { only, demo, debug } => {
            if only.is_some() {
                options.scope = Scope::Infrastructure;
                options.up_arguments.push_str(" --only infrastructure");
            }
            if demo {
                options.demo = true;
                options.up_arguments.push_str(" --demo");
            }
            options = built(options, debug);
            let installation = Installation::new(config, options);
            let summary = installation.up(&*reporter).await?;
            show_summary(&*reporter, &installation, &summary);
            Ok(())
        }
        Command::Rotate { debug } => {
            options.rotate = true;
            options = built(options, debug);
            let installation = Installation::new(config, options);
            let summary = installation.up(&*reporter).await?;
            reporter.says(&format!("all accounts have new passwords ({})", seconds(summary.took)));
            Ok(())
        }
        Command::Prerequisites => {
            let changed = Installation::new(config, options).prerequisites(&*reporter).await?;
            reporter.says(if changed {
                "this machine is ready"
            } else {
                "this machine was ready already"
            });
            Ok(())
        }
        Command::Status => status(&Installation::new(config, options)).await,
        Command::Logs { follow, lines, service } => {
            logs(&Installation::new(config, options), follow, lines, service.as_deref()).await
        }
        Command::Restart { service } => {
            let installation = Installation::new(config, options);
            installation.restart(service.as_deref()).await?;
            reporter.says("restarted; see `status`");
            Ok(())
        }
        Command::Down { delete_data, yes } => {
            down(&Installation::new(config, options), delete_data, yes, &*reporter).await
        }
    }
}

/// How the services are compiled.
fn built(mut options: Options, debug: bool) -> Options {
    if debug {
        options.profile = Profile::Debug;
        options.console = false;
        options.up_arguments.push_str(" --debug");
    }
    options
}

fn load(path: Option<PathBuf>, options: &Options) -> Result<Config, Failure> {
    let named = path.is_some();
    let path = path.unwrap_or_else(|| options.workspace.join("config.json"));
    match std::fs::read_to_string(&path) {
        Ok(text) => Config::parse(&text)
            .map_err(|error| Failure::new(Exit::Config, format!("{} is wrong {error}", path.display()))),
        Err(error) if !named && error.kind() == std::io::ErrorKind::NotFound => Ok(Config::default()),
        Err(error) => Err(Failure::new(
            Exit::Config,
            format!("could not read {}: {error}", path.display()),
        )),
    }
}

fn show_summary(reporter: &dyn Reporter, installation: &Installation, summary: &Summary) {
    let took = match summary.compiled.as_secs() {
        0 => seconds(summary.took),
        _ => format!(
            "{}, and {} to compile",
            seconds(summary.took.saturating_sub(summary.compiled)),
            seconds(summary.compiled)
        ),
    };
    let name = &installation.config.name;
    if installation.options.scope == Scope::Infrastructure {
        reporter.says(&format!("the infrastructure of `{name}` is up ({took})"));
        return;
    }
    if summary.changed {
        reporter.says(&format!("`{name}` is up ({took})"));
    } else {
        reporter.says(&format!("`{name}` is up; nothing changed ({took})"));
    }
    reporter.says(&format!("  open        {}", summary.address));
    if let Some(password) = &summary.first_password {
        reporter.says(&format!("  sign in as  admin with the one-time password {password}"));
        reporter.says("  next        choose your own password, add users, register locations and sensors");
    }
    if installation.options.demo {
        reporter.says("  look at     Instances: `Comfort in the laboratory` keeps a simulated room cool; Locations: the building around it");
    }
    reporter.says(&format!(
        "  look after  {} status | logs -f | down",
        installation.options.invocation
    ));
}

/// Writes a text; a closed output is no failure.
fn show(text: &str) {
    for line in text.lines() {
        if writeln!(std::io::stdout(), "{line}").is_err() {
            break;
        }
    }
}

async fn status(installation: &Installation) -> Result<(), Failure> {
    let status = installation.status().await?;
    show(&status.to_string());
    if status.healthy() {
        return Ok(());
    }
    let names: Vec<&str> = status
        .rows
        .iter()
        .filter(|row| !row.ready)
        .map(|row| row.name.as_str())
        .collect();
    let mut failure = Failure::new(Exit::Unhealthy, format!("not ready: {}", names.join(", ")));
    failure.resume = Some(format!("{} up", installation.options.invocation));
    Err(failure)
}

async fn logs(installation: &Installation, follow: bool, lines: u32, service: Option<&str>) -> Result<(), Failure> {
    let folder = installation.layout.logs();
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".log").map(str::to_owned))
        .collect();
    names.sort();
    if let Some(service) = service {
        if !names.iter().any(|name| name == service) {
            let message = format!("there is no log of `{service}`; there are: {}", names.join(", "));
            return Err(Failure::new(Exit::Usage, message));
        }
        names.retain(|name| name == service);
    }
    if names.is_empty() {
        return Err(Failure::new(
            Exit::Failed,
            format!("there are no logs in {} yet", folder.display()),
        ));
    }
    let mut tail = tokio::process::Command::new("tail");
    tail.arg("-n").arg(lines.to_string()).stdin(Stdio::null());
    if follow {
        tail.arg("-F");
    }
    tail.args(names.iter().map(|name| installation.layout.log(name)));
    let ended = tail
        .status()
        .await
        .map_err(|error| Failure::new(Exit::Failed, format!("could not run tail: {error}")))?;
    if ended.success() {
        Ok(())
    } else {
        Err(Failure::new(Exit::Failed, format!("tail ended with {ended}")))
    }
}

async fn down(
    installation: &Installation,
    delete_data: bool,
    yes: bool,
    reporter: &dyn Reporter,
) -> Result<(), Failure> {
    if !preflight::is_root() {
        return Err(Failure::new(
            Exit::Preflight,
            "this command needs root; run it again with sudo",
        ));
    }
    if delete_data
        && !yes
        && !confirmed(
            &installation.config.name,
            &format!("everything in {}", installation.layout.data_dir().display()),
        )?
    {
        return Err(Failure::new(Exit::Failed, "nothing was stopped or deleted"));
    }
    installation.down(reporter).await?;
    if delete_data {
        installation.delete_data(reporter).await?;
    } else {
        let dir = installation.layout.data_dir().display();
        reporter.says(&format!(
            "data stays in {dir}; start again: {} up",
            installation.options.invocation
        ));
    }
    Ok(())
}

/// Asks for the installation's name: what is deleted cannot be brought back.
fn confirmed(name: &str, what: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        let message = "deleting data asks for the name of the installation in a terminal; without one say --yes";
        return Err(Failure::new(Exit::Usage, message));
    }
    let mut out = std::io::stdout();
    let asked = write!(out, "{what} will be deleted for good. type `{name}` to go on: ").and_then(|()| out.flush());
    let mut answer = String::new();
    let read = asked.and_then(|()| std::io::stdin().lock().read_line(&mut answer));
    Ok(read.is_ok() && answer.trim() == name)
}
