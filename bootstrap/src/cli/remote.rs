//! The commands for hosts that are other machines.

use std::io::{IsTerminal as _, Write as _};

use common::config::Config;

use super::{Command, built, confirmed, show};
use crate::failure::{Exit, Failure};
use crate::fleet::Fleet;
use crate::installation::Options;
use crate::progress::{Reporter, seconds};

pub(super) async fn execute(
    command: Command,
    config: Config,
    options: Options,
    reporter: &dyn Reporter,
) -> Result<(), Failure> {
    let unavailable = |what: &str| {
        let message = format!("{what} is not available yet for hosts over SSH");
        Err(Failure::new(Exit::Usage, message))
    };
    match command {
        Command::Up { only: Some(_), .. } => unavailable("`up --only`"),
        Command::Up { demo: true, .. } => unavailable("`up --demo`"),
        Command::Up { debug, .. } => up(&opened(config, built(options, debug))?, reporter).await,
        Command::Rotate { debug } => {
            let mut options = built(options, debug);
            options.rotate = true;
            up(&opened(config, options)?, reporter).await?;
            reporter.says("all accounts have new passwords, all hosts new certificates");
            Ok(())
        }
        Command::Plan {
            detailed_exitcode,
            debug,
        } => {
            let plans = opened(config, built(options, debug))?.plan(reporter).await?;
            for plan in &plans {
                show(&plan.to_string());
            }
            if detailed_exitcode && plans.iter().any(|plan| !plan.is_empty()) {
                return Err(Failure::new(Exit::Changes, "there is something to do"));
            }
            Ok(())
        }
        Command::Status => {
            let fleet = opened(config, options)?;
            let (status, away) = fleet.status().await?;
            show(&status.to_string());
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
        Command::Logs { .. } => unavailable("`logs`"),
        Command::Restart { .. } => unavailable("`restart`"),
        Command::Prerequisites => unavailable("`prerequisites`"),
    }
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
