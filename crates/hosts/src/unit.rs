//! Units of systemd.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Variable in the environment of a unit: what it was started with. Read from the process itself to see whether it is current.
pub const FINGERPRINT: &str = "PLATFORM_FINGERPRINT";

/// A unit of systemd that runs all the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Name without `.service`.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Command line.
    pub command: String,
    /// Account; absent: root.
    pub account: Option<String>,
    /// Environment.
    pub environment: BTreeMap<String, String>,
    /// Units that start before it, where they are on this host.
    pub after: Vec<String>,
    /// Unit without which it must not run.
    pub requires: Option<String>,
    /// Signal that asks its main process to stop.
    pub stop_signal: &'static str,
    /// Folders it may write to; everything else is read-only for it.
    pub writes: Vec<String>,
    /// Whether it may open ports below 1024.
    pub low_ports: bool,
    /// Whether it tells systemd when it is ready and that it lives.
    pub notifies: bool,
    /// How long it may take to stop, in seconds.
    pub stop_seconds: u16,
    /// How long after its end it begins anew, in milliseconds.
    pub pause_millis: u32,
    /// Changes when its program or its settings do.
    pub fingerprint: String,
}

impl Unit {
    /// The unit file.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = format!(
            "\
# Written by bootstrap; changes are lost at the next `up`.
[Unit]
Description={}
After=network-online.target {}
Wants=network-online.target
{}# A unit that fails often is tried again all the same.
StartLimitIntervalSec=0

[Service]
ExecStart={}
Restart=always
RestartSec={}ms
TimeoutStopSec={}
KillMode=mixed
KillSignal=SIG{}
",
            self.description,
            self.after.join(" "),
            self.requires
                .as_ref()
                .map(|unit| format!("Requires={unit}\n"))
                .unwrap_or_default(),
            self.command.replace('%', "%%"),
            self.pause_millis,
            self.stop_seconds,
            self.stop_signal
        );
        let mut line = |text_line: String| {
            let written = writeln!(text, "{text_line}");
            debug_assert!(written.is_ok(), "writing to a string cannot fail");
        };
        if self.notifies {
            line("Type=notify".to_owned());
            line("NotifyAccess=main".to_owned());
            line("WatchdogSec=10".to_owned());
            line("TimeoutStartSec=60".to_owned());
        }
        line(format!("Environment={FINGERPRINT}={}", self.fingerprint));
        for (name, value) in &self.environment {
            line(format!("Environment=\"{name}={}\"", value.replace('%', "%%")));
        }
        for hardening in self.hardening() {
            line(hardening);
        }
        text.push_str("\n[Install]\nWantedBy=multi-user.target\n");
        text
    }

    fn hardening(&self) -> Vec<String> {
        let mut lines: Vec<String> = [
            "LimitNOFILE=65536",
            "UMask=0077",
            "NoNewPrivileges=yes",
            "ProtectSystem=strict",
            "ProtectHome=yes",
            "PrivateTmp=yes",
            "ProtectClock=yes",
            "ProtectHostname=yes",
            "ProtectKernelLogs=yes",
            "ProtectKernelModules=yes",
            "ProtectControlGroups=yes",
            "LockPersonality=yes",
            "RestrictRealtime=yes",
            "RestrictSUIDSGID=yes",
            "RestrictNamespaces=yes",
            "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
            "SystemCallArchitectures=native",
            "SystemCallFilter=@system-service",
            "SystemCallErrorNumber=EPERM",
        ]
        .map(str::to_owned)
        .to_vec();
        if !self.writes.is_empty() {
            lines.push(format!("ReadWritePaths={}", self.writes.join(" ")));
        }
        match &self.account {
            Some(account) => {
                lines.push(format!("User={account}"));
                lines.push(format!("Group={account}"));
                let capabilities = if self.low_ports { "CAP_NET_BIND_SERVICE" } else { "" };
                lines.push(format!("CapabilityBoundingSet={capabilities}"));
                lines.push(format!("AmbientCapabilities={capabilities}"));
                lines.push("PrivateDevices=yes".to_owned());
                lines.push("ProtectKernelTunables=yes".to_owned());
            }
            None => lines.push("CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_DAC_OVERRIDE".to_owned()),
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_confined_and_watched() {
        let unit = Unit {
            name: "iot-scheduler".to_owned(),
            description: "scheduler of the platform `iot`".to_owned(),
            command: "/var/lib/iot/releases/current/scheduler --settings /var/lib/iot/etc/settings.json".to_owned(),
            account: Some("iot-platform".to_owned()),
            environment: BTreeMap::from([("RATE".to_owned(), "5 %".to_owned())]),
            after: vec!["iot-kafka.service".to_owned()],
            requires: Some("iot-network.service".to_owned()),
            stop_signal: "TERM",
            writes: vec!["/var/lib/iot/run".to_owned()],
            low_ports: true,
            notifies: true,
            stop_seconds: 15,
            pause_millis: 500,
            fingerprint: "1234".to_owned(),
        };
        insta::assert_snapshot!(unit.render());
    }
}
