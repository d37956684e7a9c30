//! What an admin types.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Installs, starts, shows and stops the platform on this machine, or over SSH on the hosts that config.json names.
///
/// Exit codes: 0 done, 1 a step failed, 2 wrong command line, 3 wrong config.json, 4 a host cannot be reached or does not let us in,
/// 5 the key of a host is not the one that is known, 6 the machine does not allow it (nothing was started), 7 something is not
/// running or not ready, 8 another command is changing a host, 9 there is something to do (`plan --detailed-exitcode` only).
#[derive(Debug, Parser)]
#[command(name = "bootstrap", version)]
pub(super) struct Arguments {
    /// The configuration; without the option a missing file means the defaults.
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Bring everything up; what is so already is left alone.
    Up {
        /// Bring up a part: everything but the six services and the node agent.
        #[arg(long, value_name = "PART", conflicts_with = "programs")]
        only: Option<Part>,
        /// Add a simulated building with sensors and devices, and two sample applications that run on them.
        #[arg(long, conflicts_with = "only")]
        demo: bool,
        #[command(flatten)]
        build: Build,
    },
    /// Bring an installation that is up to other programs, one service after the other, while it goes on working.
    ///
    /// It is what `up` does, too; `rollback` returns to the programs before.
    Upgrade {
        #[command(flatten)]
        build: Build,
    },
    /// Return to programs that were in use before; the last three releases are kept on every host.
    Rollback {
        /// Name of a release; absent: the one before the one in use.
        release: Option<String>,
    },
    /// Show what `up` would do on the hosts, and do nothing.
    Plan {
        /// End with 9 when there is something to do.
        #[arg(long)]
        detailed_exitcode: bool,
        #[command(flatten)]
        build: Build,
    },
    /// Show what runs.
    Status {
        #[command(flatten)]
        look: Look,
    },
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
        #[command(flatten)]
        build: Build,
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
    /// Write what somebody who helps from afar wants to see into one archive: configuration, status, logs; no secrets, no readings.
    SupportBundle {
        /// The archive; absent: `support-NAME-DATE.tar.gz` here.
        file: Option<PathBuf>,
    },
    /// Print the JSON Schema of config.json.
    Schema,
    /// Print what makes a shell complete this command.
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// How something is shown.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Look {
    /// Look again every two seconds, until Ctrl-C.
    #[arg(short, long)]
    pub(super) watch: bool,
    /// As JSON, for scripts.
    #[arg(long, conflicts_with = "watch")]
    pub(super) json: bool,
}

/// Where the programs of the services come from.
#[derive(Debug, Clone, Args)]
pub(super) struct Build {
    /// For working on the services: compile them without optimisation, and take the console as it lies there.
    #[arg(long)]
    pub(super) debug: bool,
    /// Take the programs from this folder instead of compiling them.
    #[arg(long, value_name = "FOLDER", conflicts_with = "debug")]
    pub(super) programs: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Part {
    /// Docker Engine, Kafka, MongoDB, registry.
    Infrastructure,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_command_is_whole_and_refuses_what_excludes_each_other() {
        Arguments::command().debug_assert();
        let refused = |words: &[&str]| Arguments::try_parse_from([&["bootstrap"], words].concat()).is_err();
        assert!(!refused(&["upgrade", "--programs", "built"]));
        assert!(refused(&["upgrade", "--programs", "built", "--debug"]));
        assert!(refused(&["up", "--only", "infrastructure", "--programs", "built"]));
        assert!(refused(&["status", "--watch", "--json"]));
        assert!(!refused(&["rollback"]) && !refused(&["rollback", "0123"]));
    }
}
