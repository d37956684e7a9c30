//! What is wrong, or soon will be, and what to do about it. Nothing is changed.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::fleet::days_left;
use crate::installation::Installation;
use crate::{engine, files, network, preflight, restore, secrets};

/// A program that ended by itself so often has something.
pub(crate) const RESTARTS: usize = 5;
/// Days before a certificate ends that an admin is told: time enough to get another one.
const SOON_DAYS: i64 = 21;

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A host, or this machine.
    pub place: String,
    /// What was looked at.
    pub what: String,
    /// What is wrong with it and what to do; none: nothing.
    pub problem: Option<String>,
}

/// All that was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// In the order in which it matters.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    pub(crate) fn add(&mut self, place: &str, what: &str, problem: Option<String>) {
        self.findings.push(Finding {
            place: place.to_owned(),
            what: what.to_owned(),
            problem,
        });
    }

    /// Adds each problem, or that there is none.
    pub(crate) fn add_all(&mut self, place: &str, what: &str, problems: Vec<String>) {
        if problems.is_empty() {
            self.add(place, what, None);
        }
        for problem in problems {
            self.add(place, what, Some(problem));
        }
    }

    /// What an admin has to do something about.
    pub fn problems(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.problem.is_some())
    }

    /// How the command ends.
    ///
    /// # Errors
    /// When there is a problem.
    pub fn outcome(&self) -> Result<(), Failure> {
        match self.problems().count() {
            0 => Ok(()),
            1 => Err(Failure::new(Exit::Unhealthy, "1 problem")),
            count => Err(Failure::new(Exit::Unhealthy, format!("{count} problems"))),
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            match &finding.problem {
                None => writeln!(f, "ok       {:<16} {}", finding.place, finding.what)?,
                Some(problem) => writeln!(f, "PROBLEM  {:<16} {}: {problem}", finding.place, finding.what)?,
            }
        }
        Ok(())
    }
}

/// What to say of a program.
pub(crate) fn program(name: &str, ready: bool, restarts: usize) -> Option<String> {
    if !ready {
        return Some(format!(
            "it is not ready; `logs {name}` says why, `up` starts what does not run"
        ));
    }
    (restarts >= RESTARTS).then(|| format!("it ended by itself {restarts} times; `logs {name}` says why"))
}

/// What to say of a certificate that somebody else makes.
fn certificate(pem: &str, now: Timestamp) -> Option<String> {
    const MENDED: &str = "get another one, and run `up`";
    match days_left(pem, now) {
        None => Some(format!("it is broken; {MENDED}")),
        Some(..0) => Some(format!("it has ended; {MENDED}")),
        Some(days) if days < SOON_DAYS => Some(format!("it holds {days} more days; {MENDED}")),
        Some(_) => None,
    }
}

impl Installation {
    /// Looks at this machine and what is installed on it.
    pub async fn doctor(&self) -> Diagnosis {
        const HERE: &str = "this machine";
        let mut told = Diagnosis::default();
        let found = preflight::look(&self.config, &self.layout).await;
        let problems = preflight::problems(&found, &self.config.data_dir);
        told.add_all(HERE, "root, disk, memory, ports", problems);
        if !self.is_there() {
            return told;
        }
        let unfinished = "a restore was interrupted; `up` goes on with it";
        let restoring = restore::under_way(&self.layout);
        told.add(HERE, "restore", restoring.then(|| unfinished.to_owned()));
        let private = files::is_private(&self.layout.secrets());
        let open = "other accounts of this machine may read them; `up` protects them";
        told.add(HERE, "secrets", (!private).then(|| open.to_owned()));
        let public = std::fs::read_to_string(self.layout.secrets().join(secrets::PUBLIC_CERTIFICATE));
        if let Ok(pem) = public {
            told.add(HERE, "certificate for people", certificate(&pem, Timestamp::now()));
        }
        self.applications(HERE, &mut told).await;
        match self.status().await {
            Ok(status) => {
                for row in status.rows {
                    told.add(
                        HERE,
                        &row.name,
                        program(&row.name, row.ready, row.restarts.unwrap_or_default()),
                    );
                }
            }
            Err(error) => told.add(HERE, "programs", Some(format!("{error:#}"))),
        }
        told
    }

    /// What applications need of the machine.
    async fn applications(&self, place: &str, told: &mut Diagnosis) {
        if !engine::answers().await {
            let silent = "it does not answer; `up` starts it, and its log says why it ended";
            told.add(place, "docker engine", Some(silent.to_owned()));
            return;
        }
        told.add(place, "docker engine", None);
        let Some(subnet) = self.subnet() else { return };
        let network = network::present(&self.names(), subnet).await;
        let gone = "it is not there; `up` makes it";
        told.add(place, "network of applications", (!network).then(|| gone.to_owned()));
        let firewall = self.firewall(subnet).present().await;
        let open = "rules are missing, so that applications reach more than they may; `up` makes them";
        told.add(place, "firewall of applications", (!firewall).then(|| open.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_stand_out_and_decide_how_the_command_ends() {
        let mut told = Diagnosis::default();
        told.add_all("a", "disk", Vec::new());
        told.add("a", "kafka", program("kafka", true, 0));
        assert!(told.outcome().is_ok());
        told.add("a", "scheduler", program("scheduler", true, RESTARTS));
        told.add("b", "agent", program("agent", false, 0));
        let failure = told.outcome().unwrap_err();
        assert_eq!(
            (failure.exit, failure.message.as_str()),
            (Exit::Unhealthy, "2 problems")
        );
        insta::assert_snapshot!(told);
    }

    #[test]
    fn a_certificate_that_ends_soon_is_told_of() {
        let made = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
        let now = Timestamp::now();
        assert_eq!(certificate(&made.cert.pem(), now), None);
        // Those of this library end in the year 4096.
        let at = |second| certificate(&made.cert.pem(), Timestamp::from_second(second).unwrap()).unwrap();
        assert!(at(67_090_000_000).contains("more days"), "{}", at(67_090_000_000));
        assert!(at(67_200_000_000).contains("has ended"), "{}", at(67_200_000_000));
        assert!(certificate("no certificate", now).unwrap().contains("broken"));
    }
}
