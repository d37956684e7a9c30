//! The commands for hosts that are other machines.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use common::config::Config;

use super::arguments::Command;
use super::{AFTER_ROLLBACK, NOTHING_INSTALLED, built, confirmed, pack, show, show_json, watch};
use crate::failure::{Exit, Failure};
use crate::fleet::{Acquaintance, Fleet, Lines};
use crate::options::{Options, Programs};
use crate::progress::{Reporter, seconds};

pub(super) async fn execute(
    command: Command,
    config: Config,
    mut options: Options,
    reporter: &dyn Reporter,
) -> Result<(), Failure> {
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
            let plans = opened(config, built(options, build)?)?.plan(reporter).await?;
            for plan in &plans {
                show(&plan.to_string());
            }
            if detailed_exitcode && plans.iter().any(|plan| !plan.is_empty()) {
                return Err(Failure::new(Exit::Changes, "there is something to do"));
            }
            Ok(())
        }
        Command::Status { look } => {
            let fleet = opened(config, options)?;
            if look.watch {
                return watch(async || fleet.status().await.map(|(seen, away)| (seen.to_string(), away))).await;
            }
            let (status, away) = fleet.status().await?;
            if look.json {
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
        Command::Down { delete_data, yes } => {
            if delete_data && !yes && !confirmed(&config.name, "everything of it on every host")? {
                return Err(Failure::new(Exit::Failed, "nothing was stopped or deleted"));
            }
            opened(config, options)?.down(delete_data, reporter).await
        }
        Command::Logs { follow: true, .. } => unavailable("`logs -f`"),
        Command::Logs {
            host,
            lines,
            since,
            grep,
            service,
            ..
        } => {
            let wanted = Lines {
                program: service,
                count: lines,
                since,
                containing: grep,
            };
            let (told, away) = opened(config, options)?.logs(host.as_deref(), &wanted).await?;
            for (host, lines) in told {
                lines.lines().for_each(|line| show(&format!("{host}  {line}")));
            }
            away.map_or(Ok(()), Err)
        }
        Command::SupportBundle { file } => {
            let fleet = opened(config, options)?;
            pack(&fleet.evidence().await?, file, fleet.name()).await
        }
        Command::Restart { host, service } => {
            let fleet = opened(config, options)?;
            fleet.restart(host.as_deref(), service.as_deref()).await?;
            reporter.says("restarted; see `status`");
            Ok(())
        }
        Command::Trust { yes } => trust(&Fleet::new(config, options)?, yes).await,
        Command::Prerequisites => unavailable("`prerequisites`"),
        Command::Init { .. } | Command::Validate | Command::Schema | Command::Completion { .. } => Ok(()),
    }
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

/// Shows the keys of hosts, and asks about those of which nothing is known.
async fn trust(fleet: &Fleet, yes: bool) -> Result<(), Failure> {
    let mut wrong = Vec::new();
    for (host, acquaintance) in fleet.acquaintances().await {
        match acquaintance {
            Acquaintance::Known(fingerprint) => show(&format!("{host:<16} known     {fingerprint}")),
            Acquaintance::Wrong(error) => wrong.push(error.to_string()),
            Acquaintance::New(key) => {
                show(&format!("{host:<16} new       {} ({})", key.fingerprint, key.algorithm));
                if yes || accepted(&host)? {
                    fleet.trust(&host, &key)?;
                    show(&format!("{host:<16} taken into known_hosts"));
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

fn accepted(host: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
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
    let mut fleet = Fleet::new(config, options)?;
    fleet.unlock(|path| {
        // Without a terminal the error of the first connection says what to do.
        if !std::io::stdin().is_terminal() {
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
    Ok(())
}
