//! The command line.

mod files;
mod local;
mod remote;

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use common::config::Config;

use crate::failure::{Exit, Failure};
use crate::installation::{Installation, Options, Profile, Scope};
use crate::progress::{reporter, seconds};
use local::{down, logs, show_summary, status};

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
        /// Only this host, of many.
        #[arg(long, value_name = "NAME")]
        host: Option<String>,
        /// Only since then, as journalctl understands it (`1 hour ago`, `2026-01-31 08:00`); on hosts over SSH.
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Only lines with this text; on hosts over SSH.
        #[arg(long, value_name = "TEXT")]
        grep: Option<String>,
        /// A service or a piece of infrastructure; absent: all.
        service: Option<String>,
    },
    /// Restart a service, or all of them.
    Restart {
        /// Only on this host, of many.
        #[arg(long, value_name = "NAME")]
        host: Option<String>,
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
    /// Write a first config.json.
    Init {
        /// A host that is reached over SSH: ADDRESS, or PUBLIC=INTERNAL. Absent: this machine.
        #[arg(long = "ssh", value_name = "ADDRESS", group = "hosts")]
        addresses: Vec<String>,
        /// User who signs in there.
        #[arg(long, requires = "hosts")]
        user: Option<String>,
        /// File with the private key.
        #[arg(long, value_name = "FILE", requires = "hosts")]
        key: Option<PathBuf>,
        /// Take hosts from what `aws cloudformation describe-stacks` printed for the stack of deploy/aws.
        #[arg(long, value_name = "FILE", conflicts_with = "addresses", group = "hosts")]
        from_stack_outputs: Option<PathBuf>,
    },
    /// Say whether config.json is valid, and which host would run what.
    Validate,
    /// Show the keys of hosts of which nothing is known, and take those that you accept into the file of known hosts.
    Trust {
        /// Accept all without asking: only where nobody can sit between.
        #[arg(long)]
        yes: bool,
    },
    /// Print the JSON Schema of config.json.
    Schema,
    /// Print what makes a shell complete this command.
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
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
    let path = arguments
        .config
        .clone()
        .unwrap_or_else(|| options.workspace.join("config.json"));
    match arguments.command {
        Command::Schema => {
            files::schema();
            return Ok(());
        }
        Command::Completion { shell } => {
            files::completion(shell);
            return Ok(());
        }
        Command::Init {
            addresses,
            user,
            key,
            from_stack_outputs,
        } => {
            let wanted = files::Wanted {
                addresses,
                user,
                key,
                stack_outputs: from_stack_outputs,
            };
            return files::init(&path, &wanted);
        }
        _ => {}
    }
    let config = load(arguments.config, &options)?;
    if matches!(arguments.command, Command::Validate) {
        return files::validate(config, options, &path);
    }
    let reporter = reporter();
    if config.is_remote() {
        return remote::execute(arguments.command, config, options, &*reporter).await;
    }
    match arguments.command {
        Command::Init { .. } | Command::Validate | Command::Schema | Command::Completion { .. } => Ok(()),
        Command::Trust { .. } => Err(Failure::new(
            Exit::Usage,
            "`trust` is for hosts that are reached over SSH",
        )),
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
        Command::Logs {
            follow,
            lines,
            service,
            host: None,
            since: None,
            grep: None,
        } => logs(&Installation::new(config, options), follow, lines, service.as_deref()).await,
        Command::Logs { .. } | Command::Restart { host: Some(_), .. } => Err(Failure::new(
            Exit::Usage,
            "--host, --since and --grep are for hosts that are reached over SSH",
        )),
        Command::Restart { service, .. } => {
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

/// Writes a text; a closed output is no failure.
fn show(text: &str) {
    for line in text.lines() {
        if writeln!(std::io::stdout(), "{line}").is_err() {
            break;
        }
    }
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
