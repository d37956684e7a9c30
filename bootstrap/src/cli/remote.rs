//! The commands for hosts that are other machines.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use common::config::Config;
use hosts::{Change, Plan};
use serde_json::{Value, json};

use super::arguments::{Command, Only};
use super::{
    AFTER_ROLLBACK, NOTHING_INSTALLED, WATCHED_JSON, built, confirmed, dated, diagnosis, pack, show, show_backup,
    show_json, watch,
};
use crate::failure::{Exit, Failure};
use crate::fleet::{Acquaintance, Fleet, known};
use crate::installation::Summary;
use crate::options::{Options, Programs};
use crate::progress::{Reporter, seconds};

/// What is said beside the command.
pub(super) struct Wanted {
    pub(super) only: Only,
    pub(super) json: bool,
    pub(super) yes: bool,
}

pub(super) async fn execute(
    command: Command,
    config: Config,
    mut options: Options,
    Wanted { only, json, yes }: Wanted,
    reporter: &dyn Reporter,
) -> Result<(), Failure> {
    let (host, service) = (only.host.as_deref(), only.service.as_deref());
    let unavailable = |what: &str| {
        let message = format!("{what} is not available yet for hosts over SSH");
        Err(Failure::new(Exit::Usage, message))
    };
    match command {
        Command::Up { only: Some(_), .. } => unavailable("`up --only`"),
        Command::Up { demo: true, .. } => unavailable("`up --demo`"),
        Command::Up { build, .. } => up(&opened(config, built(options, build)?)?, reporter).await,
        Command::Upgrade { build } => {
            options.verb = "upgrade".to_owned();
            upgrade(&opened(config, built(options, build)?)?, reporter).await
        }
        Command::Rollback { release } => {
            options.programs = Programs::Kept(release);
            let fleet = opened(config, options)?.going_back().await?;
            up(&fleet, reporter).await?;
            reporter.says(AFTER_ROLLBACK);
            Ok(())
        }
        Command::Rotate { build } => {
            options.verb = "rotate".to_owned();
            let mut options = built(options, build)?;
            options.rotate = true;
            up(&opened(config, options)?, reporter).await?;
            reporter.says("all accounts have new passwords, all hosts new certificates");
            Ok(())
        }
        Command::Plan {
            detailed_exitcode,
            build,
        } => {
            options.verb = "plan".to_owned();
            let fleet = opened(config, built(options, build)?)?;
            fleet.knows(host)?;
            let mut plans = fleet.plan(reporter).await?;
            plans.retain(|plan| host.is_none_or(|host| plan.host == host));
            if json {
                show_json(&plans.iter().map(as_json).collect::<Vec<_>>())?;
            } else {
                plans.iter().for_each(|plan| show(&plan.to_string()));
            }
            if detailed_exitcode && plans.iter().any(|plan| !plan.is_empty()) {
                return Err(Failure::new(Exit::Changes, "there is something to do"));
            }
            Ok(())
        }
        Command::Status { watch: true } if json => Err(Failure::new(Exit::Usage, WATCHED_JSON)),
        Command::Status { watch: again } => {
            let fleet = opened(config, options)?;
            known(service)?;
            let look = async || {
                let (seen, away) = fleet.status_of(host).await?;
                Ok((seen.only(service), away))
            };
            if again {
                return watch(async || look().await.map(|(seen, away)| (seen.to_string(), away))).await;
            }
            let (status, away) = look().await?;
            if json {
                show_json(&status)?;
            } else {
                show(&status.to_string());
            }
            match (away, status.unready()) {
                (Some(away), _) => Err(away),
                (None, unready) if unready.is_empty() => Ok(()),
                (None, unready) => Err(Failure::new(
                    Exit::Unhealthy,
                    format!("not ready: {}", unready.join(", ")),
                )),
            }
        }
        Command::Down { delete_data } => {
            if delete_data && !yes && !confirmed(&config.name, "everything of it on every host", options.input)? {
                return Err(Failure::new(Exit::Failed, "nothing was stopped or deleted"));
            }
            opened(config, options)?.down(delete_data, reporter).await
        }
        Command::Logs { follow, which } => {
            let wanted = which.of(service);
            let fleet = opened(config, options)?;
            if follow {
                // Whoever does not listen any more has ended it.
                let tell = |host: &str, line: &str| writeln!(std::io::stdout(), "{}", log_line(host, line, json));
                return fleet.follow(host, &wanted, &tell).await;
            }
            let (told, away) = fleet.logs(host, &wanted).await?;
            for (host, lines) in told {
                lines.lines().for_each(|line| show(&log_line(&host, line, json)));
            }
            away.map_or(Ok(()), Err)
        }
        Command::SupportBundle { file } => {
            let fleet = opened(config, options)?;
            pack(&fleet.evidence().await?, file, fleet.name()).await
        }
        Command::Doctor => diagnosis(&opened(config, options)?.doctor().await, json),
        Command::Backup { file } => {
            let file = file.unwrap_or_else(|| dated("backup", &config.name));
            let about = opened(config, options)?.backup(&file).await?;
            show_backup(&about, &file, reporter);
            Ok(())
        }
        Command::Restore { file, build, .. } => {
            options.verb = format!("restore {}", hosts::quote(&file.display().to_string()));
            let mut fleet = opened(config, built(options, build)?)?;
            let summary = fleet.restore(&file, reporter).await?;
            show_summary(&fleet, &summary, reporter);
            Ok(())
        }
        Command::Restart { .. } => {
            let fleet = opened(config, options)?;
            fleet.restart(host, service).await?;
            reporter.says("restarted; see `status`");
            Ok(())
        }
        Command::Trust => {
            let input = options.input;
            trust(&Fleet::new(config, options)?, yes, input, json).await
        }
        Command::Prerequisites => unavailable("`prerequisites`"),
        Command::Init { .. } | Command::Validate | Command::Schema | Command::Completion { .. } => Ok(()),
    }
}

/// A plan for programs.
fn as_json(plan: &Plan) -> Value {
    let actions = plan.actions.iter().map(|action| {
        let (change, why) = match &action.change {
            Change::Make => ("make", None),
            Change::Alter(why) => ("alter", Some(why)),
        };
        json!({ "name": action.name, "change": change, "why": why })
    });
    json!({ "host": plan.host, "right": plan.right, "actions": actions.collect::<Vec<_>>() })
}

/// Other programs for what is installed.
async fn upgrade(fleet: &Fleet, reporter: &dyn Reporter) -> Result<(), Failure> {
    let Some(before) = fleet.release().await? else {
        return Err(Failure::new(Exit::Failed, NOTHING_INSTALLED));
    };
    up(fleet, reporter).await?;
    match fleet.release().await? {
        Some(now) if now != before => reporter.says(&format!(
            "  release     {now}; return to the one before: rollback {before}"
        )),
        _ => reporter.says(&format!("  release     {before}, as before")),
    }
    Ok(())
}

fn log_line(host: &str, line: &str, json: bool) -> String {
    if json {
        serde_json::json!({ "host": host, "line": line }).to_string()
    } else {
        format!("{host}  {line}")
    }
}

/// Shows the keys of hosts, and asks about those of which nothing is known.
async fn trust(fleet: &Fleet, yes: bool, input: bool, json: bool) -> Result<(), Failure> {
    let tell = |host: &str, state: &str, fingerprint: &str| {
        if json {
            show(&serde_json::json!({ "host": host, "state": state, "fingerprint": fingerprint }).to_string());
        } else {
            show(&format!("{host:<16} {state:<9} {fingerprint}"));
        }
    };
    let mut wrong = Vec::new();
    for (host, acquaintance) in fleet.acquaintances().await {
        match acquaintance {
            Acquaintance::Known(fingerprint) => tell(&host, "known", &fingerprint),
            Acquaintance::Wrong(error) => wrong.push(error.to_string()),
            Acquaintance::New(key) => {
                tell(&host, "new", &format!("{} ({})", key.fingerprint, key.algorithm));
                if yes || accepted(&host, input)? {
                    fleet.trust(&host, &key)?;
                    tell(&host, "accepted", &key.fingerprint);
                } else {
                    wrong.push(format!("{host}: its key was not accepted"));
                }
            }
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Exit::HostKey, wrong.join("\n")))
}

fn accepted(host: &str, input: bool) -> Result<bool, Failure> {
    if !input || !std::io::stdin().is_terminal() {
        let message = "a new key is accepted in a terminal, after you compared it with what the host itself prints (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub); where nobody can sit between, say --yes";
        return Err(Failure::new(Exit::HostKey, message));
    }
    let mut out = std::io::stdout();
    let asked = write!(out, "is this the key of {host}? type `yes` to accept it: ").and_then(|()| out.flush());
    let mut answer = String::new();
    let read = asked.and_then(|()| std::io::stdin().lock().read_line(&mut answer));
    Ok(read.is_ok() && answer.trim() == "yes")
}

/// The hosts, with the private keys opened that a person must open.
fn opened(config: Config, options: Options) -> Result<Fleet, Failure> {
    let input = options.input;
    let mut fleet = Fleet::new(config, options)?;
    fleet.unlock(|path| {
        // Without a terminal the error of the first connection says what to do.
        if !input || !std::io::stdin().is_terminal() {
            return Ok(None);
        }
        let asked = rpassword::prompt_password(format!("passphrase of {}: ", path.display()));
        let unread = |error| Failure::new(Exit::Failed, format!("the passphrase could not be read: {error}"));
        asked.map(Some).map_err(unread)
    })?;
    Ok(fleet)
}

async fn up(fleet: &Fleet, reporter: &dyn Reporter) -> Result<(), Failure> {
    let summary = fleet.up(reporter).await?;
    show_summary(fleet, &summary, reporter);
    Ok(())
}

fn show_summary(fleet: &Fleet, summary: &Summary, reporter: &dyn Reporter) {
    let took = format!(
        "{}, and {} to build",
        seconds(summary.took.saturating_sub(summary.compiled)),
        seconds(summary.compiled)
    );
    let changed = if summary.changed { "" } else { "; nothing changed" };
    reporter.says(&format!(
        "`{}` is up on {} hosts{changed} ({took})",
        fleet.name(),
        fleet.len()
    ));
    reporter.says(&format!("  open        {}", summary.address));
    for address in &summary.also {
        reporter.says(&format!("  or          {address}"));
    }
    if let Some(password) = &summary.first_password {
        reporter.says(&format!("  sign in as  admin with the one-time password {password}"));
    }
    if std::io::stdout().flush().is_err() {
        // Nobody reads.
    }
}
