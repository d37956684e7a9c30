//! Making each difference so.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::access::{Access, AccessError, failed};
use crate::item::{Content, Item, Kind};
use crate::packages::PackageManager;
use crate::shell::quote;
use crate::unit::Unit;

/// How long one change may take: packages come from far away.
const LIMIT: Duration = Duration::from_secs(900);
/// How much of a file a host works up in a second at least: a database is filled slowly.
const WORKED_UP: u64 = 1024 * 1024;

/// Makes one item so. `input` is what it asked another host for.
///
/// # Errors
/// When the host cannot be reached, or a command on it fails; its last lines are in the error.
pub async fn make(
    host: &dyn Access,
    item: &Item,
    packages: Option<PackageManager>,
    input: Option<&str>,
) -> Result<(), AccessError> {
    let script = match &item.kind {
        Kind::File {
            path,
            owner,
            mode,
            content: Content::File(upload),
        } => {
            let staged = host.stage(&upload.path, &upload.sha256).await?;
            place(&staged, path, owner, *mode)
        }
        Kind::State { file: Some(upload), .. } => {
            let staged = quote(&host.stage(&upload.path, &upload.sha256).await?);
            format!(
                "FILE={staged}\n{}\nstatus=$?; rm -f {staged}; exit $status\n",
                script(&item.kind, packages, input)
            )
        }
        kind => script(kind, packages, input),
    };
    // What a command that was killed had begun goes on for a moment on the host; it is let finish.
    let limit = limit(&item.kind);
    let script = format!(
        "exec 9>>/run/lock/bootstrap-apply.lock; flock -w {} 9 || exit 1\n{script}",
        limit.as_secs()
    );
    let answer = host.root(&script, limit).await?;
    if answer.succeeded() {
        return Ok(());
    }
    Err(failed(host.host(), &item.name, &answer))
}

fn limit(kind: &Kind) -> Duration {
    let size = match kind {
        Kind::State { file: Some(upload), .. } => std::fs::metadata(&upload.path).map_or(0, |file| file.len()),
        _ => 0,
    };
    LIMIT + Duration::from_secs(size / WORKED_UP)
}

/// The script that makes an item so.
fn script(kind: &Kind, packages: Option<PackageManager>, input: Option<&str>) -> String {
    match kind {
        Kind::Packages(needs) => {
            let manager = packages.unwrap_or(PackageManager::Apt);
            manager.install(needs)
        }
        Kind::Account { name } => format!(
            "useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin {}",
            quote(name)
        ),
        Kind::Folder { path, owner, mode } => {
            format!(
                "install -d -o {owner} -g {owner} -m {mode:o} {}",
                quote(path),
                owner = quote(owner)
            )
        }
        Kind::File {
            path,
            owner,
            mode,
            content,
        } => write(path, owner, *mode, content),
        Kind::Link { path, target } => {
            let new = quote(&format!("{path}.new"));
            format!("set -e; ln -sfn {} {new}; mv -T {new} {}", quote(target), quote(path))
        }
        Kind::Unit(unit) => run(unit),
        // Much may have happened since the look: a program that was not running then tells now that all is well.
        Kind::State { check, make, .. } => format!(
            "INPUT={}\nif ( {check}\n) >/dev/null 2>&1; then :; else\nset -e\n{make}\nfi\n",
            quote(input.unwrap_or_default())
        ),
    }
}

fn parent(path: &str) -> String {
    quote(path.rsplit_once('/').map_or("/", |(parent, _)| parent))
}

/// Writes a text beside its place and moves it there.
fn write(path: &str, owner: &str, mode: u32, content: &Content) -> String {
    let text = match content {
        Content::Text(text) | Content::Secret(text) => text.as_str(),
        Content::File(_) => "",
    };
    let (new, owner) = (quote(&format!("{path}.new")), quote(owner));
    format!(
        "set -e; umask 077; [ -d {parent} ] || install -d -m 755 {parent}\nbase64 -d > {new} <<'END'\n{}\nEND\nchown {owner}:{owner} {new}; chmod {mode:o} {new}; mv -fT {new} {}",
        STANDARD.encode(text),
        quote(path),
        parent = parent(path)
    )
}

/// Moves what was uploaded to its place.
fn place(staged: &str, path: &str, owner: &str, mode: u32) -> String {
    let (new, owner) = (quote(&format!("{path}.new")), quote(owner));
    format!(
        "set -e; [ -d {parent} ] || install -d -m 755 {parent}\ninstall -o {owner} -g {owner} -m {mode:o} {staged} {new}; sync {new}; mv -fT {new} {}; rm -f {staged}",
        quote(path),
        staged = quote(staged),
        parent = parent(path)
    )
}

/// Writes a unit and has it run as it is written.
fn run(unit: &Unit) -> String {
    let (name, path) = (quote(&unit.name), format!("/etc/systemd/system/{}.service", unit.name));
    format!(
        "{}\nsystemctl daemon-reload; systemctl enable -q {name}; systemctl reset-failed {name} 2>/dev/null || true; systemctl restart {name} || {{ journalctl -u {name} -n 20 --no-pager -o cat >&2; exit 1; }}",
        write(&path, "root", 0o644, &Content::Text(unit.render()))
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::{Command, Stdio};

    use async_trait::async_trait;

    use super::*;
    use crate::access::Answer;
    use crate::item::Upload;
    use crate::observe::{Found, observe};

    /// This machine without privileges, as a host.
    struct Here;

    #[async_trait]
    impl Access for Here {
        fn host(&self) -> &'static str {
            "here"
        }

        async fn root(&self, script: &str, _limit: Duration) -> Result<Answer, AccessError> {
            let mut bash = Command::new("bash")
                .arg("-s")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            std::io::Write::write_all(&mut bash.stdin.take().unwrap(), script.as_bytes()).unwrap();
            let output = bash.wait_with_output().unwrap();
            Ok(Answer {
                status: output.status.code().and_then(|code| u32::try_from(code).ok()),
                stdout: String::from_utf8(output.stdout).unwrap(),
                stderr: String::from_utf8(output.stderr).unwrap(),
            })
        }

        async fn stage(&self, file: &Path, sha256: &str) -> Result<String, AccessError> {
            let staged = file.with_file_name(sha256);
            std::fs::copy(file, &staged).unwrap();
            Ok(staged.to_string_lossy().into_owned())
        }
    }

    fn own() -> String {
        let said = Command::new("id").arg("-un").output().unwrap();
        String::from_utf8(said.stdout).unwrap().trim().to_owned()
    }

    fn items(root: &Path) -> Vec<Item> {
        let path = |name: &str| root.join(name).to_string_lossy().into_owned();
        let blob = root.join("blob");
        std::fs::write(&blob, [0_u8, 159, 1]).unwrap();
        let file = |name: &str, content| Kind::File {
            path: path(name),
            owner: own(),
            mode: 0o640,
            content,
        };
        vec![
            Item::new(
                "folder",
                Kind::Folder {
                    path: path("a folder"),
                    owner: own(),
                    mode: 0o750,
                },
            ),
            Item::new(
                "text",
                file("a folder/it's", Content::Text("one\n'two' $HOME\n".to_owned())),
            ),
            Item::new("secret", file("deep/er/secret", Content::Secret(String::new()))),
            Item::new(
                "program",
                file(
                    "bin/program",
                    Content::File(Upload {
                        sha256: crate::item::sha256(&[0, 159, 1]),
                        path: blob.clone(),
                    }),
                ),
            ),
            Item::new(
                "link",
                Kind::Link {
                    path: path("current"),
                    target: "releases/1".to_owned(),
                },
            ),
            Item::new(
                "state",
                Kind::State {
                    check: format!("grep -qx 'the word' '{}'", path("word")),
                    make: format!("[ -s \"$FILE\" ]; printf '%s\\n' \"$INPUT\" > '{}'", path("word")),
                    input: None,
                    file: Some(Upload {
                        sha256: crate::item::sha256(&[0, 159, 1]),
                        path: blob,
                    }),
                },
            ),
        ]
    }

    #[tokio::test]
    async fn what_is_made_is_found_and_what_is_disturbed_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let items = items(folder.path());
        let data = folder.path().join("not/yet").to_string_lossy().into_owned();
        let found = observe(&Here, &items, &data).await.unwrap().found;
        assert_eq!(found, vec![Found::Absent; items.len()]);
        for item in &items {
            make(&Here, item, None, Some("the word")).await.unwrap();
        }
        let observed = observe(&Here, &items, &data).await.unwrap();
        assert_eq!(observed.found, vec![Found::Right; items.len()]);
        assert!(observed.facts.free_mib > 0 && observed.facts.processors > 0);

        std::fs::write(folder.path().join("a folder/it's"), "changed").unwrap();
        std::fs::remove_file(folder.path().join("current")).unwrap();
        std::os::unix::fs::symlink("releases/0", folder.path().join("current")).unwrap();
        let found = observe(&Here, &items, &data).await.unwrap().found;
        assert_eq!(found[1], Found::Different("content".to_owned()));
        assert_eq!(found[4], Found::Different("leads to releases/0".to_owned()));
        for item in [&items[1], &items[4]] {
            make(&Here, item, None, None).await.unwrap();
        }
        let found = observe(&Here, &items, &data).await.unwrap().found;
        assert_eq!(found, vec![Found::Right; items.len()]);
    }

    #[test]
    fn what_works_up_a_large_file_may_take_longer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dump");
        std::fs::File::create(&path).unwrap().set_len(90 * WORKED_UP).unwrap();
        let sha256 = String::new();
        let of = |file| {
            limit(&Kind::State {
                check: String::new(),
                make: String::new(),
                input: None,
                file,
            })
        };
        assert_eq!(of(None), LIMIT);
        assert_eq!(of(Some(Upload { path, sha256 })), LIMIT + Duration::from_secs(90));
    }

    #[tokio::test]
    async fn a_script_that_fails_says_why() {
        let item = Item::new(
            "an impossible thing",
            Kind::State {
                check: "false".to_owned(),
                make: "echo 'this is why' >&2; false; echo not reached".to_owned(),
                input: None,
                file: None,
            },
        );
        let error = make(&Here, &item, None, None).await.unwrap_err().to_string();
        assert_eq!(error, "here: an impossible thing failed: this is why");
        // `set -e` does not end a list of which the last command was not reached.
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "x").unwrap();
        let listed = Item::new(
            "a thing of a file",
            Kind::State {
                check: "false".to_owned(),
                make: "false && echo not reached".to_owned(),
                input: None,
                file: Some(Upload {
                    sha256: crate::item::sha256(b"x"),
                    path: file,
                }),
            },
        );
        assert!(make(&Here, &listed, None, None).await.is_err());
        let full = Item::new(
            "a large thing",
            Kind::State {
                check: "false".to_owned(),
                make: "echo 'cp: error writing: No space left on device' >&2; exit 1".to_owned(),
                input: None,
                file: None,
            },
        );
        let error = make(&Here, &full, None, None).await.unwrap_err();
        assert!(matches!(error, AccessError::DiskFull { .. }), "{error}");
    }
}
