use common::config::Config;

use super::*;
use crate::options::Options;

#[test]
fn what_a_person_types_stays_one_word() {
    let config = r#"{"hosts": [{"connection": "ssh", "address": "192.0.2.1"}]}"#;
    let fleet = Fleet::new(Config::parse(config).unwrap(), Options::default()).unwrap();
    let all = fleet.logs_script(&Lines {
        count: 5,
        ..Lines::default()
    });
    assert!(
        all.starts_with("journalctl -u iot-application-manager.service") && all.ends_with(" -q -n 5"),
        "{all}"
    );
    let some = fleet.logs_script(&Lines {
        program: Some("scheduler".to_owned()),
        count: 5,
        since: Some("1 hour ago".to_owned()),
        containing: Some("it's; rm".to_owned()),
    });
    insta::assert_snapshot!(some);
}

#[test]
fn lines_come_whole_however_they_are_cut() {
    let (text, mut lines) = ("one\ntwö\n\nthree", Vec::new());
    let mut pieces = Pieces::default();
    for piece in text.as_bytes().chunks(2) {
        pieces
            .take(piece, |line| {
                lines.push(line.to_owned());
                Ok(())
            })
            .unwrap();
    }
    assert_eq!(lines, ["one", "twö", ""]);
}

#[test]
fn only_what_is_a_program_is_one() {
    for program in all_programs() {
        assert!(known(Some(program)).is_ok());
    }
    for other in ["", "network", "../x", "scheduler; reboot"] {
        assert_eq!(known(Some(other)).unwrap_err().exit, Exit::Usage, "{other}");
    }
}
