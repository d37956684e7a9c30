//! The command line.

mod arguments;
mod files;
mod local;
mod logs;
mod remote;

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use arguments::{Arguments, Build, Command};
use clap::Parser as _;
use common::config::{Config, SERVICES};

use crate::backup::About;
use crate::doctor::Diagnosis;
use crate::failure::{Exit, Failure};
use crate::installation::Installation;
use crate::options::{Options, Profile, Programs, Scope};
use crate::progress::{Json, Reporter, reporter, seconds};
use crate::support::{self, Evidence};
use local::{backup, down, restore, rollback, show_summary, status, upgrade};

/// Seconds that nothing takes.
const YEARS: u64 = 10 * 365 * 24 * 3600;
const NOTHING_INSTALLED: &str = "nothing is installed yet; begin with `up`";
const FOR_HOSTS: &str = "--host is for hosts that are reached over SSH";
const WATCHED_JSON: &str = "--watch is for people, --json for programs: choose one";
const AFTER_ROLLBACK: &str = "  next        `up` and `rotate` install what these sources make: go back to older ones, or mend them, before you use them";

/// Runs the command line of this process.
pub async fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let (json, limit) = (arguments.json, arguments.timeout);
    // What these print is one document.
    let document = matches!(
        arguments.command,
        Command::Status { .. } | Command::Plan { .. } | Command::Doctor
    );
    let limit = Duration::from_secs(limit.map_or(YEARS, std::num::NonZero::get));
    let outcome = tokio::time::timeout(limit, Box::pin(execute(arguments))).await;
    let late = |_| {
        let message = format!("it did not end within {} s; run it again to go on", limit.as_secs());
        Err(Failure::new(Exit::Failed, message))
    };
    match outcome.unwrap_or_else(late) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if json && !document => {
            Json::write(failure.json());
            ExitCode::from(failure.exit as u8)
        }
        Err(failure) => {
            if write!(std::io::stderr(), "{failure}").is_err() {
                // Nobody reads.
            }
            ExitCode::from(failure.exit as u8)
        }
    }
}

async fn execute(arguments: Arguments) -> Result<(), Failure> {
    let json = arguments.json;
    let mut options = Options {
        at_once: arguments.concurrency.map_or(usize::MAX, std::num::NonZero::get),
        input: !arguments.no_input,
        ..Options::default()
    };
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
    let (yes, only) = (arguments.yes, arguments.only.of(&arguments.command));
    let only = only.map_err(|message| Failure::new(Exit::Usage, message))?;
    let config = load(arguments.config, &options)?;
    if matches!(arguments.command, Command::Validate) {
        return files::validate(config, options, &path, json);
    }
    let reporter: Box<dyn Reporter> = if json { Box::new(Json) } else { reporter() };
    if config.is_remote() {
        let wanted = remote::Wanted { only, json, yes };
        let command = remote::execute(arguments.command, config, options, wanted, &*reporter);
        return Box::pin(command).await;
    }
    if only.host.is_some() {
        return Err(Failure::new(Exit::Usage, FOR_HOSTS));
    }
    let service = only.service.as_deref();
    match arguments.command {
        Command::Init { .. } | Command::Validate | Command::Schema | Command::Completion { .. } => Ok(()),
        Command::Trust => Err(Failure::new(
            Exit::Usage,
            "`trust` is for hosts that are reached over SSH",
        )),
        Command::Plan { .. } => Err(Failure::new(
            Exit::Usage,
            "`plan` is for hosts that are reached over SSH; on this machine `up` changes only what is not so already",
        )),
        Command::Up { only, demo, build } => {
            if only.is_some() {
                options.scope = Scope::Infrastructure;
                options.verb.push_str(" --only infrastructure");
            }
            if demo {
                options.demo = true;
                options.verb.push_str(" --demo");
            }
            options = built(options, build)?;
            let installation = Installation::new(config, options);
            let summary = installation.up(&*reporter).await?;
            show_summary(&*reporter, &installation, &summary);
            Ok(())
        }
        Command::Upgrade { build } => {
            options.verb = "upgrade".to_owned();
            upgrade(config, built(options, build)?, &*reporter).await
        }
        Command::Rollback { release } => rollback(config, options, release, &*reporter).await,
        Command::Rotate { build } => {
            options.rotate = true;
            options.verb = "rotate".to_owned();
            options = built(options, build)?;
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
        Command::Status { watch: true } if json => Err(Failure::new(Exit::Usage, WATCHED_JSON)),
        Command::Status { watch: again } => {
            let installation = Installation::new(config, options);
            if again {
                return watch(async || Ok((installation.status().await?.only(service)?.to_string(), None))).await;
            }
            status(&installation, service, json).await
        }
        Command::Logs { follow, which } => {
            logs::logs(&Installation::new(config, options), &which.of(service), follow, json).await
        }
        Command::SupportBundle { file } => {
            let name = config.name.clone();
            let evidence = Installation::new(config, options).evidence().await?;
            pack(&evidence, file, &name).await
        }
        Command::Doctor => diagnosis(&Installation::new(config, options).doctor().await, json),
        Command::Backup { file } => backup(&Installation::new(config, options), file, &*reporter).await,
        Command::Restore { file, build } => {
            let installation = Installation::new(config, built(options, build)?);
            restore(&installation, &file, yes, &*reporter).await
        }
        Command::Restart { .. } => {
            let installation = Installation::new(config, options);
            installation.restart(service).await?;
            reporter.says("restarted; see `status`");
            Ok(())
        }
        Command::Down { delete_data } => down(&Installation::new(config, options), delete_data, yes, &*reporter).await,
    }
}

/// Where the programs come from.
fn built(mut options: Options, build: Build) -> Result<Options, Failure> {
    if build.debug {
        options.profile = Profile::Debug;
        options.console = false;
        options.verb.push_str(" --debug");
    }
    if let Some(folder) = build.programs {
        let missing = SERVICES.into_iter().find(|name| !folder.join(name).is_file());
        let folder = match (folder.canonicalize(), missing) {
            (Ok(folder), None) => folder,
            (_, missing) => {
                let message = format!("there is no {} in {}", missing.unwrap_or("program"), folder.display());
                return Err(Failure::new(Exit::Usage, message));
            }
        };
        let word = hosts::quote(&folder.display().to_string());
        options.verb.push_str(&format!(" --programs {word}"));
        options.programs = Programs::Folder(folder);
    }
    Ok(options)
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

/// Where an archive goes that nobody named.
fn dated(kind: &str, name: &str) -> PathBuf {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    format!("{kind}-{name}-{now}.tar.gz").into()
}

/// Writes what was collected, and says where.
async fn pack(evidence: &Evidence, file: Option<PathBuf>, name: &str) -> Result<(), Failure> {
    let file = file.unwrap_or_else(|| dated("support", name));
    support::pack(evidence, &file).await?;
    show(&format!(
        "wrote {}; look into it before you send it to anybody",
        file.display()
    ));
    Ok(())
}

/// Says what a backup is worth.
fn show_backup(about: &About, file: &Path, reporter: &dyn Reporter) {
    reporter.says(&format!(
        "wrote the backup of `{}` to {}; whoever has it can sign in as everybody, so keep it as you keep keys",
        about.installation,
        file.display()
    ));
    if !about.has_database() {
        reporter
            .says("  the database is not in it: take it with `mongodump`, or whoever runs that MongoDB backs it up");
    }
}

/// Shows what is looked at again and again, until somebody ends it.
async fn watch(look: impl AsyncFn() -> Result<(String, Option<Failure>), Failure>) -> Result<(), Failure> {
    const PAUSE: Duration = Duration::from_secs(2);
    let mut ended = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let looked = tokio::select! {
            looked = look() => looked,
            _ = &mut ended => return Ok(()),
        };
        let seen = match looked {
            Ok((seen, None)) => seen,
            Ok((seen, Some(failure))) => format!("{seen}\n{failure}"),
            Err(failure) => failure.to_string(),
        };
        // In a terminal: top left, and nothing below.
        let clear = if std::io::stdout().is_terminal() {
            "\x1b[H\x1b[2J"
        } else {
            ""
        };
        if writeln!(std::io::stdout(), "{clear}{}", seen.trim_end()).is_err() {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = &mut ended => return Ok(()),
        }
    }
}

/// Shows what is wrong.
fn diagnosis(told: &Diagnosis, json: bool) -> Result<(), Failure> {
    if json {
        show_json(told)?;
    } else {
        show(&told.to_string());
    }
    told.outcome()
}

/// Shows a value as JSON.
fn show_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    show(&text);
    Ok(())
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
fn confirmed(name: &str, what: &str, input: bool) -> Result<bool, Failure> {
    if !input || !std::io::stdin().is_terminal() {
        let message = "deleting data asks for the name of the installation in a terminal; without one say --yes";
        return Err(Failure::new(Exit::Usage, message));
    }
    let mut out = std::io::stdout();
    let asked = write!(out, "{what} will be deleted for good. type `{name}` to go on: ").and_then(|()| out.flush());
    let mut answer = String::new();
    let read = asked.and_then(|()| std::io::stdin().lock().read_line(&mut answer));
    Ok(read.is_ok() && answer.trim() == name)
}
