//! What an admin types.

use std::num::NonZero;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::fleet::Lines;

/// Installs, starts, shows and stops the platform on this machine, or over SSH on the hosts that config.json names.
///
/// Exit codes: 0 done, 1 a step failed, 2 wrong command line, 3 wrong config.json, 4 a host cannot be reached or does not let us in,
/// 5 the key of a host is not the one that is known, 6 the machine does not allow it (nothing was started), 7 something is not
/// running or not ready, 8 another command is changing a host, 9 there is something to do (`plan --detailed-exitcode` only).
#[derive(Debug, Parser)]
#[command(name = "bootstrap", version)]
pub(super) struct Arguments {
    /// The configuration; without the option a missing file means the defaults.
    #[arg(short, long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// For programs: what happens as a JSON object a line; `status`, `plan`, `doctor` and `validate` as one JSON document.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Never ask: what needs an answer is refused.
    #[arg(long, global = true)]
    pub(super) no_input: bool,
    /// Do things on so many hosts at once; absent: on all.
    #[arg(long, global = true, value_name = "HOSTS")]
    pub(super) concurrency: Option<NonZero<usize>>,
    /// Give up after so long; what was begun is finished by running the command again.
    #[arg(long, global = true, value_name = "SECONDS")]
    pub(super) timeout: Option<NonZero<u64>>,
    /// Do not ask before data is deleted or replaced, or a key is accepted.
    #[arg(long, global = true)]
    pub(super) yes: bool,
    #[command(flatten)]
    pub(super) only: Only,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What a command is narrowed to.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Only {
    /// Only this host, of many: `plan`, `status`, `logs`, `restart`.
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) host: Option<String>,
    /// Only this service or piece of infrastructure: `status`, `logs`, `restart`.
    #[arg(long, global = true, value_name = "PROGRAM")]
    pub(super) service: Option<String>,
}

impl Only {
    /// Whether a command can be narrowed so; what it is told to go on with.
    ///
    /// # Errors
    /// What to say when it cannot.
    pub(super) fn of(mut self, command: &Command) -> Result<Self, String> {
        let (host, service) = match command {
            Command::Plan { .. } => (true, false),
            Command::Status { .. } => (true, true),
            Command::Logs {
                which: Which { program, .. },
                ..
            }
            | Command::Restart { program } => {
                if self.service.is_some() && program.is_some() {
                    return Err("a program is named twice; once is enough".to_owned());
                }
                self.service = self.service.or_else(|| program.clone());
                (true, true)
            }
            _ => (false, false),
        };
        if self.host.is_some() && !host {
            return Err("this command is for all hosts; --host narrows plan, status, logs and restart".to_owned());
        }
        if self.service.is_some() && !service {
            return Err("this command is for all services; --service narrows status, logs and restart".to_owned());
        }
        Ok(self)
    }
}

/// Lines of logs.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Lines to begin with.
    #[arg(short = 'n', long, default_value_t = 100)]
    lines: u32,
    /// Only since then: `1 hour ago`, `2026-01-31 08:00`.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only lines with this text.
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
    /// A service or a piece of infrastructure, as with --service; absent: all.
    program: Option<String>,
}

impl Which {
    /// What is wanted, where --service or the program's name may have said of whom.
    pub(super) fn of(self, program: Option<&str>) -> Lines {
        Lines {
            program: program.map(str::to_owned),
            count: self.lines,
            since: self.since,
            containing: self.grep,
        }
    }
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
        /// Look again every two seconds, until Ctrl-C.
        #[arg(short, long)]
        watch: bool,
    },
    /// Show logs.
    Logs {
        /// Go on showing what is added.
        #[arg(short, long)]
        follow: bool,
        #[command(flatten)]
        which: Which,
    },
    /// Restart a service, or all of them.
    Restart {
        /// A service or a piece of infrastructure, as with --service; absent: the six services and the node agent.
        program: Option<String>,
    },
    /// Stop everything; data stays.
    Down {
        /// Remove all data, too.
        #[arg(long)]
        delete_data: bool,
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
    ///
    /// --yes accepts all without asking: only where nobody can sit between.
    Trust,
    /// Look for what is wrong or soon will be, and say what to do about it; nothing is changed.
    Doctor,
    /// Write the database (with the bundles) and the secrets into one archive, while everything goes on.
    ///
    /// Whoever has the archive can sign in as everybody: keep it as you keep keys. Kafka is not in it, so that readings of the last second,
    /// which are in no application's saved state yet, and what is under way at that moment are not.
    Backup {
        /// The archive; absent: `backup-NAME-DATE.tar.gz` here.
        file: Option<PathBuf>,
    },
    /// Replace everything by what a backup has, and bring it up; on a machine without anything, too.
    Restore {
        /// What `backup` wrote.
        file: PathBuf,
        #[command(flatten)]
        build: Build,
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
        assert!(!refused(&["status", "--json"]) && !refused(&["--json", "--no-input", "-c", "x", "up"]));
        assert!(refused(&["up", "--concurrency", "0"]) && !refused(&["up", "--concurrency", "2", "--timeout", "60"]));
        assert!(!refused(&["rollback"]) && !refused(&["rollback", "0123"]));
        assert!(!refused(&["--yes", "down", "--delete-data"]) && !refused(&["trust", "--yes"]));
    }

    #[test]
    fn what_cannot_be_narrowed_says_so() {
        let narrowed = |words: &[&str]| {
            let read = Arguments::try_parse_from([&["bootstrap"], words].concat()).unwrap();
            read.only.of(&read.command).map(|only| (only.host, only.service))
        };
        let (host, service) = (Some("a".to_owned()), Some("scheduler".to_owned()));
        let both = Ok((host.clone(), service.clone()));
        assert_eq!(narrowed(&["--host", "a", "logs", "--service", "scheduler"]), both);
        assert_eq!(narrowed(&["restart", "scheduler", "--host", "a"]), both);
        assert_eq!(narrowed(&["status", "--service", "scheduler"]), Ok((None, service)));
        assert_eq!(narrowed(&["plan", "--host", "a"]), Ok((host, None)));
        assert_eq!(narrowed(&["up"]), Ok((None, None)));
        for words in [
            &["up", "--host", "a"][..],
            &["plan", "--service", "scheduler"],
            &["down", "--service", "scheduler"],
            &["logs", "kafka", "--service", "scheduler"],
        ] {
            assert!(narrowed(words).is_err(), "{words:?}");
        }
    }
}
