//! What the supervisor keeps running, decided from config and settings. Pure, except that it looks where programs are.

use std::collections::BTreeMap;

use anyhow::Result;
use common::config::{Config, Mode, SERVICES};

use crate::accounts::Passwords;
use crate::files;
use crate::layout::{Layout, account};
use crate::mongodb::{self, Server};
use crate::supervisor::Program;
use crate::{ferretdb, kafka, postgresql, registry};

/// Kafka, MongoDB and registry.
pub(crate) fn infrastructure(
    config: &Config,
    layout: &Layout,
    server: Server,
    passwords: &Passwords,
) -> Result<Vec<Program>> {
    let mut programs = Vec::new();
    if config.mongodb.mode == Mode::Managed {
        match server {
            Server::Mongod => programs.push(mongodb::program(config, layout)?),
            Server::Ferretdb => {
                programs.push(postgresql::program(config, layout)?);
                programs.push(ferretdb::program(config, layout, passwords));
            }
        }
    }
    if config.kafka.mode == Mode::Managed {
        programs.push(kafka::program(config, layout, passwords)?);
    }
    programs.push(registry::program(config, layout, passwords)?);
    Ok(programs)
}

/// The six services and the node agent. `binaries` is the fingerprint of each binary.
pub(crate) fn services(
    config: &Config,
    layout: &Layout,
    settings: &str,
    passwords: &Passwords,
    binaries: &BTreeMap<String, String>,
) -> Vec<Program> {
    SERVICES
        .into_iter()
        .chain(["agent"])
        .map(|name| {
            let mut program = service(config, layout, settings, binaries, name);
            program.fingerprint =
                files::fingerprint(&[program.fingerprint.as_bytes(), passwords.fingerprint(name).as_bytes()]);
            program
        })
        .collect()
}

fn service(
    config: &Config,
    layout: &Layout,
    settings: &str,
    binaries: &BTreeMap<String, String>,
    name: &str,
) -> Program {
    let binary = if name == "agent" { "deployer" } else { name };
    let program = layout.current().join(binary);
    let mode = if name == "agent" { "--agent " } else { "" };
    let line = format!("{} {mode}--settings {}", program.display(), layout.settings().display());
    let account = account(&config.name);
    let privileged = config.console_needs_low_ports();
    let (line, account) = match name {
        // They control Docker Engine, which is as much as root.
        "deployer" | "agent" => (line, None),
        "application-manager" if privileged => (with_low_ports(&line, &account), None),
        _ => (line, Some(account)),
    };
    let mut program = Program::new(name, &line);
    program.account = account;
    program.priority = if name == "agent" { 200 } else { 300 };
    let content = binaries.get(binary).map(String::as_str).unwrap_or_default();
    program.fingerprint = files::fingerprint(&[content.as_bytes(), settings.as_bytes()]);
    // glibc otherwise keeps freed memory, per thread and in between what lives on: a password check takes 19 MiB each time.
    for (variable, value) in [("MALLOC_ARENA_MAX", "2"), ("MALLOC_MMAP_THRESHOLD_", "262144")] {
        program.environment.insert(variable.to_owned(), value.to_owned());
    }
    if let Ok(filter) = std::env::var("RUST_LOG") {
        program.environment.insert("RUST_LOG".to_owned(), filter);
    }
    program
}

/// Runs as an account that may nevertheless listen below 1024.
fn with_low_ports(line: &str, account: &str) -> String {
    format!(
        "setpriv --reuid {account} --regid {account} --init-groups --inh-caps +net_bind_service \
         --ambient-caps +net_bind_service {line}"
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn services_of_the_default_installation() {
        let config = Config::default();
        let layout = Layout::new(&config.data_dir, Path::new("/src/platform"));
        let mut programs = services(&config, &layout, "{}", &Passwords::default(), &BTreeMap::new());
        for program in &mut programs {
            program.environment.clear();
        }
        insta::assert_snapshot!(crate::supervisor::render_programs(&programs, &layout.logs()));
    }

    #[test]
    fn only_a_changed_binary_changes_its_program() {
        let config = Config::default();
        let layout = Layout::new(&config.data_dir, Path::new("/src/platform"));
        let before = services(&config, &layout, "{}", &Passwords::default(), &BTreeMap::new());
        let changed = BTreeMap::from([("deployer".to_owned(), "new".to_owned())]);
        let after = services(&config, &layout, "{}", &Passwords::default(), &changed);
        let names: Vec<&str> = before
            .iter()
            .zip(&after)
            .filter(|(before, after)| before != after)
            .map(|(_, after)| after.name.as_str())
            .collect();
        assert_eq!(names, ["deployer", "agent"]);
    }
}
