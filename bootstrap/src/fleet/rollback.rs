//! Going back to programs that hosts kept.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common::config::SERVICES;
use futures_util::future::join_all;
use hosts::{Access as _, Remote, Upload};

use super::Fleet;
use super::connection::{Problem, connect, failure};
use super::items::by_use;
use super::payload::Payload;
use crate::failure::{Exit, Failure};
use crate::options::Programs;
use crate::release;

const LIMIT: Duration = Duration::from_secs(60);

/// Releases on a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Releases {
    used: String,
    /// The one that was taken into use last first.
    kept: Vec<String>,
}

impl Releases {
    fn read(said: &str) -> Self {
        let words = |kind: &'static str| said.lines().filter_map(move |line| line.strip_prefix(kind));
        Self {
            used: words("used ").next().unwrap_or_default().trim().to_owned(),
            kept: words("kept ").map(|name| name.trim().to_owned()).collect(),
        }
    }
}

/// The release that all hosts go back to: the one that is asked for, or the one before the one in use.
fn choose(hosts: &[(String, Releases)], wanted: Option<&str>) -> Result<String, String> {
    let (_, first) = hosts.first().ok_or("no host answers")?;
    if let Some((name, other)) = hosts.iter().find(|(_, host)| host.used != first.used)
        && wanted.is_none()
    {
        return Err(format!(
            "hosts use different releases ({} and, {name}, {}): name the one that all shall use",
            first.used, other.used
        ));
    }
    let chosen = release::choose(&first.kept, &first.used, wanted).map_err(|error| error.to_string())?;
    match hosts.iter().find(|(_, host)| !host.kept.contains(&chosen)) {
        None => Ok(chosen),
        Some((name, host)) => Err(format!(
            "{name} did not keep release {chosen}; it has {}",
            host.kept.join(", ")
        )),
    }
}

impl Fleet {
    /// Name of the release in use, on the first host that has one.
    ///
    /// # Errors
    /// When no host can be asked.
    pub async fn release(&self) -> Result<Option<String>, Failure> {
        let (asked, problems) = self.releases().await;
        if asked.is_empty() {
            return Err(failure(problems, &self.again()));
        }
        let used = asked.into_iter().map(|(_, releases)| releases.used);
        Ok(used.into_iter().find(|used| !used.is_empty()))
    }

    /// The same hosts, with the programs of an earlier release that they kept.
    ///
    /// # Errors
    /// When no host can be asked, or one does not have them.
    pub async fn going_back(mut self) -> Result<Self, Failure> {
        let wanted = match &self.on.options.programs {
            Programs::Kept(wanted) => wanted.clone(),
            Programs::Compiled | Programs::Folder(_) => None,
        };
        let (asked, problems) = self.releases().await;
        // A host that is away is told of by what follows; the others can go back without it.
        if asked.is_empty() {
            let wanted = wanted.map(|wanted| format!(" {wanted}")).unwrap_or_default();
            return Err(failure(problems, &self.resume(&format!("rollback{wanted}"))));
        }
        let hosts: Vec<_> = asked
            .iter()
            .map(|(access, releases)| (access.host().to_owned(), releases.clone()))
            .collect();
        let name = choose(&hosts, wanted.as_deref()).map_err(|message| Failure::new(Exit::Usage, message))?;
        // By its name: interrupted and run again, it must not go back by one more.
        self.on.options.verb = format!("rollback {name}");
        let folder = self.folder(&name);
        let found = join_all(asked.iter().map(|(access, _)| programs(access, &folder))).await;
        let found: Result<Vec<_>, Problem> = found.into_iter().collect();
        let found = found.map_err(|problem| failure(vec![problem], &self.again()))?;
        self.kept = found.into_iter().next().unwrap_or_default();
        self.on.options.programs = Programs::Kept(Some(name));
        Ok(self)
    }

    fn folder(&self, release: &str) -> String {
        let releases = self.inventory.config.data_dir.join("releases");
        releases.join(release).display().to_string()
    }

    /// The releases of each host that answers.
    async fn releases(&self) -> (Vec<(Arc<Remote>, Releases)>, Vec<Problem>) {
        let folder = self.folder("");
        let script = format!(
            "cd {folder} 2>/dev/null || exit 0; echo \"used $(readlink current)\"; {} | sed 's/^/kept /'",
            by_use(folder.trim_end_matches('/'))
        );
        let connected = connect(&self.inventory).await;
        let asked = self
            .inventory
            .each(connected.into_iter().map(async |connected| {
                let access = connected?;
                let said = access.root(&script, LIMIT).await?.stdout;
                Ok((access, Releases::read(&said)))
            }))
            .await;
        let (mut answers, mut problems) = (Vec::new(), Vec::new());
        for answer in asked {
            match answer {
                Ok(answer) => answers.push(answer),
                Err(problem) => problems.push(problem),
            }
        }
        (answers, problems)
    }
}

/// The programs of a release with their fingerprints. They need not be sent: every host has them.
async fn programs(access: &Remote, folder: &str) -> Result<BTreeMap<String, Upload>, Problem> {
    let script = format!("cd {folder} && sha256sum {}", SERVICES.join(" "));
    let answer = access.root(&script, LIMIT).await?;
    let found: BTreeMap<String, Upload> = answer
        .stdout
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(sha256, name)| {
            let upload = Upload {
                path: PathBuf::from(folder).join(name),
                sha256: sha256.to_owned(),
            };
            (name.to_owned(), upload)
        })
        .collect();
    let whole = Payload {
        programs: found.clone(),
        ..Payload::default()
    };
    // A release has the name of what is in it.
    if found.len() == SERVICES.len() && folder.ends_with(&whole.version()) {
        return Ok(found);
    }
    Err(Problem {
        exit: Exit::Failed,
        message: format!("{}: {folder} is damaged; choose another release", access.host()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, used: &str, kept: &[&str]) -> (String, Releases) {
        let kept: String = kept.iter().map(|name| format!("kept {name}\n")).collect();
        (name.to_owned(), Releases::read(&format!("used {used}\n{kept}")))
    }

    #[test]
    fn all_hosts_go_back_to_one_release() {
        let both = |used: &str, kept: &[&str]| vec![host("a", used, &["3", "2", "1"]), host("b", used, kept)];
        assert_eq!(choose(&both("3", &["3", "2", "1"]), None).as_deref(), Ok("2"));
        assert_eq!(choose(&both("3", &["3", "2", "1"]), Some("1")).as_deref(), Ok("1"));
        let said = choose(&both("3", &["3", "1"]), None).unwrap_err();
        assert!(said.contains("b did not keep release 2"), "{said}");
        let said = choose(&both("1", &["1"]), None).unwrap_err();
        assert!(said.contains("no release before"), "{said}");
        assert!(choose(&[], None).is_err());
    }

    #[test]
    fn one_that_was_interrupted_goes_on_by_name() {
        let hosts = [host("a", "2", &["3", "2", "1"]), host("b", "3", &["3", "2", "1"])];
        assert!(choose(&hosts, None).unwrap_err().contains("different releases"));
        assert_eq!(choose(&hosts, Some("2")).as_deref(), Ok("2"));
    }
}
