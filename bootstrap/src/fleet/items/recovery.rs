//! What the monitor may have a host do: start a service in the place of one on a host that is lost, and end it again.
//!
//! Its key lets it in to an account of its own, there to `hostctl` and to nothing else; the admin's key stays where it is.

use common::config::Role;
use hosts::{Content, FINGERPRINT, Item, Kind, Unit};

use super::{On, Stage, Staged, file, state};
use crate::files;

pub(super) fn items(on: &On<'_>) -> Vec<Staged> {
    let name = on.name();
    let account = hostctl_account(name);
    let home = on.path("hostctl");
    let program = on.path("hostctl.sh");
    let template = format!("{name}-standin@");
    let unit = stand_in(on, &template);
    let print = files::fingerprint(&[unit.as_bytes()]);
    let mut all = vec![
        state(
            format!("account {account}"),
            format!("[ \"$(getent passwd {account} | cut -d: -f6,7)\" = {home}:/bin/bash ]"),
            // A star is no password and no lock: the key lets in, nothing else does.
            format!(
                "id -u {account} >/dev/null 2>&1 || useradd --system --user-group --no-create-home {account}; usermod -d {home} -s /bin/bash -p '*' {account}"
            ),
        ),
        folder(&home, &account),
        folder(&format!("{home}/.ssh"), &account),
        file(
            format!("{home}/.ssh/authorized_keys"),
            &account,
            0o600,
            Content::Text(authorized(&program, &on.secrets.hostctl_line())),
        ),
        on.text("hostctl.sh", 0o755, hostctl(name)),
        file(
            format!("/etc/sudoers.d/{account}"),
            "root",
            0o440,
            Content::Text(format!(
                "# Written by bootstrap.\nDefaults:{account} !requiretty\n{account} ALL=(root) NOPASSWD: {program}\n"
            )),
        ),
        on.text("etc/known_hosts", 0o644, on.known_hosts.to_owned()),
        file(
            format!("/etc/systemd/system/{template}.service"),
            "root",
            0o644,
            Content::Text(unit),
        ),
    ];
    let known = on.path("run/standin.known");
    all.push(state(
        "systemd knows the unit of stand-ins",
        format!("[ \"$(cat {known} 2>/dev/null)\" = {print} ]"),
        format!("systemctl daemon-reload && echo {print} > {known}"),
    ));
    all.push(current(on, &template));
    all.into_iter().map(|item| (Stage::Services, item)).collect()
}

/// Account that the monitor's key lets in.
pub(in crate::fleet) fn hostctl_account(installation: &str) -> String {
    format!("{installation}-hostctl")
}

fn folder(path: &str, owner: &str) -> Item {
    Item::new(
        format!("folder {path}"),
        Kind::Folder {
            path: path.to_owned(),
            owner: owner.to_owned(),
            mode: 0o700,
        },
    )
}

fn authorized(program: &str, line: &str) -> String {
    format!("restrict,command=\"sudo -n {program} \\\"$SSH_ORIGINAL_COMMAND\\\"\" {line}\n")
}

/// The services that may stand in. The deployer needs root and the swarm's manager.
fn movable() -> Vec<&'static str> {
    let roles = Role::SERVICES.into_iter().filter(|role| *role != Role::Deployer);
    roles.map(Role::name).collect()
}

fn hostctl(name: &str) -> String {
    format!(
        r#"#!/bin/bash
# Written by bootstrap. What the monitor may ask of this host, and nothing else:
#   report | start SERVICE | stop SERVICE | fence SERVICE
set -u
refuse() {{ echo "hostctl: not allowed" >&2; exit 64; }}
read -r verb service rest <<<"${{1:-}}"
[ -z "$rest" ] || refuse
case "$verb:$service" in
report:) exec systemctl list-units --plain --no-legend '{name}-*.service' ;;
start:|stop:|fence:) refuse ;;
esac
case "$service" in {services}) ;; *) refuse ;; esac
case "$verb" in
start)
  if systemctl is-active -q {name}-$service; then echo "it runs here by itself"; exit 0; fi
  exec systemctl start {name}-standin@$service ;;
stop) exec systemctl stop {name}-standin@$service ;;
fence) exec systemctl stop {name}-standin@$service {name}-$service ;;
*) refuse ;;
esac
"#,
        services = movable().join("|")
    )
}

/// A unit for any service, which is started by hand and not with the host.
fn stand_in(on: &On<'_>, template: &str) -> String {
    const WHICH: &str = "SERVICE-OF-THE-INSTANCE";
    let command = format!(
        "{}/{WHICH} --settings {}",
        on.path("releases/current"),
        on.path("etc/settings.json")
    );
    let unit = Unit {
        name: template.to_owned(),
        description: format!("{WHICH} of `{}`, in the place of one on a host that is lost", on.name()),
        low_ports: on.inventory.config.console_needs_low_ports(),
        writes: vec![on.path("uploads")],
        notifies: true,
        environment: super::services::environment(),
        ..on.unit("standin", command, &on.account, fingerprint(on))
    };
    unit.render().replace(WHICH, "%i")
}

/// What a stand-in has to be started anew for: it may be any service.
fn fingerprint(on: &On<'_>) -> String {
    on.print(&[
        &on.payload.version(),
        &super::services::read_by_any(on),
        &on.secrets.fingerprint("application-manager"),
    ])
}

/// After an `up` with other programs or settings, a stand-in that runs must have begun with these.
fn current(on: &On<'_>, template: &str) -> Item {
    let old = format!(
        "for unit in $(systemctl list-units --plain --no-legend --state=active '{template}*' | cut -d' ' -f1); do grep -qzx {FINGERPRINT}={} /proc/$(systemctl show -p MainPID --value $unit)/environ || echo $unit; done",
        fingerprint(on)
    );
    state(
        "stand-ins are of the release and settings in use",
        format!("[ -z \"$({old})\" ]"),
        format!("systemctl restart $({old})"),
    )
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_key_lets_in_to_one_program_with_one_word_for_it() {
        insta::assert_snapshot!(authorized("/var/lib/iot/hostctl.sh", "ssh-ed25519 AAAA iot"));
        insta::assert_snapshot!("hostctl", hostctl("iot"));
    }

    #[test]
    fn hostctl_refuses_what_it_does_not_know() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("hostctl.sh");
        // What it would have done is written down instead.
        let fake = hostctl("iot").replace("systemctl", "echo systemctl");
        std::fs::write(&script, fake).unwrap();
        let ask = |words: &str| {
            let output = Command::new("bash").arg(&script).arg(words).output().unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            (output.status.code().unwrap(), said.trim().to_owned())
        };
        for words in [
            "",
            "start",
            "start deployer",
            "start ../x",
            "start scheduler; id",
            "start scheduler --force",
            "reboot scheduler",
            "report all",
            "$(id)",
        ] {
            assert_eq!(ask(words).0, 64, "{words}");
        }
        assert_eq!(
            ask("stop scheduler"),
            (0, "systemctl stop iot-standin@scheduler".to_owned())
        );
        assert_eq!(ask("report").0, 0);
    }
}
