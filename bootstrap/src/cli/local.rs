//! What the commands do on this machine.

use std::process::Stdio;

use common::config::Config;

use super::{AFTER_ROLLBACK, NOTHING_INSTALLED, confirmed, show, show_json};
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

pub(super) async fn status(installation: &Installation, json: bool) -> Result<(), Failure> {
    let status = installation.status().await?;
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

pub(super) async fn logs(
    installation: &Installation,
    follow: bool,
    lines: u32,
    service: Option<&str>,
) -> Result<(), Failure> {
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

pub(super) async fn down(
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
