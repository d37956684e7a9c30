//! What the commands do on this machine.

use std::path::{Path, PathBuf};

use common::config::Config;

use super::{AFTER_ROLLBACK, NOTHING_INSTALLED, confirmed, dated, show, show_backup, show_json};
use crate::backup::About;
use crate::failure::{Exit, Failure};
use crate::installation::{Installation, Summary};
use crate::options::{Options, Programs, Scope};
use crate::preflight;
use crate::progress::{Reporter, seconds};

pub(super) fn show_summary(reporter: &dyn Reporter, installation: &Installation, summary: &Summary) {
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

/// Other programs for what is installed.
pub(super) async fn upgrade(config: Config, options: Options, reporter: &dyn Reporter) -> Result<(), Failure> {
    let installation = Installation::new(config, options);
    let Some(before) = installation.release() else {
        return Err(Failure::new(Exit::Failed, NOTHING_INSTALLED));
    };
    let summary = installation.up(reporter).await?;
    show_summary(reporter, &installation, &summary);
    match installation.release() {
        Some(now) if now != before => reporter.says(&format!(
            "  release     {now}; return to the one before: {} rollback {before}",
            installation.options.invocation
        )),
        _ => reporter.says(&format!("  release     {before}, as before")),
    }
    Ok(())
}

/// Programs that were in use before.
pub(super) async fn rollback(
    config: Config,
    mut options: Options,
    wanted: Option<String>,
    reporter: &dyn Reporter,
) -> Result<(), Failure> {
    let installation = Installation::new(config.clone(), options.clone());
    let Some(before) = installation.release() else {
        return Err(Failure::new(Exit::Failed, NOTHING_INSTALLED));
    };
    let release = installation.earlier_release(wanted.as_deref())?;
    // By its name: interrupted and run again, it must not go back by one more.
    options.verb = format!("rollback {release}");
    options.programs = Programs::Kept(Some(release.clone()));
    let installation = Installation::new(config, options);
    let summary = installation.up(reporter).await?;
    show_summary(reporter, &installation, &summary);
    reporter.says(&format!("  release     {release}; before it was {before}"));
    reporter.says(AFTER_ROLLBACK);
    Ok(())
}

/// Writes a backup, and says what it is worth.
pub(super) async fn backup(
    installation: &Installation,
    file: Option<PathBuf>,
    reporter: &dyn Reporter,
) -> Result<(), Failure> {
    needs_root()?;
    let file = file.unwrap_or_else(|| dated("backup", &installation.config.name));
    let about = installation.backup(&file, reporter).await?;
    show_backup(&about, &file, reporter);
    Ok(())
}

/// Replaces what is here by a backup.
pub(super) async fn restore(
    installation: &Installation,
    file: &Path,
    yes: bool,
    reporter: &dyn Reporter,
) -> Result<(), Failure> {
    needs_root()?;
    let about = About::of(file).await;
    let about = about.map_err(|error| Failure::new(Exit::Usage, format!("{error:#}")))?;
    let data = format!(
        "the backup of {} replaces everything in {}; what is there",
        about.made,
        installation.layout.data_dir().display()
    );
    if installation.is_there() && !yes && !confirmed(&installation.config.name, &data, installation.options.input)? {
        return Err(Failure::new(Exit::Failed, "nothing was stopped or deleted"));
    }
    let summary = installation.restore(file, reporter).await?;
    show_summary(reporter, installation, &summary);
    Ok(())
}

fn needs_root() -> Result<(), Failure> {
    if preflight::is_root() {
        return Ok(());
    }
    let message = "this command needs root; run it again with sudo";
    Err(Failure::new(Exit::Preflight, message))
}

pub(super) async fn status(installation: &Installation, only: Option<&str>, json: bool) -> Result<(), Failure> {
    let status = installation.status().await?.only(only)?;
    if json {
        show_json(&status)?;
    } else {
        show(&status.to_string());
    }
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

pub(super) async fn down(
    installation: &Installation,
    delete_data: bool,
    yes: bool,
    reporter: &dyn Reporter,
) -> Result<(), Failure> {
    needs_root()?;
    if delete_data
        && !yes
        && !confirmed(
            &installation.config.name,
            &format!("everything in {}", installation.layout.data_dir().display()),
            installation.options.input,
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
