//! The reference of `config.json` in `docs/operations.md`.

use std::fmt::Write as _;

use super::tables::Tables;
use crate::config::Config;

const SECTIONS: [(&str, &str, &str); 11] = [
    ("hosts", "Host", "[host](#hosts)"),
    ("ssh", "Ssh", "[ssh](#ssh)"),
    ("bastion", "Bastion", "[bastion](#bastion)"),
    ("kafka", "Kafka", "[kafka](#kafka)"),
    ("mongodb", "Mongodb", "[mongodb](#mongodb)"),
    ("console", "Console", "[console](#console)"),
    ("tls", "PublicTls", "[tls](#tls)"),
    ("ports", "Ports", "[ports](#ports)"),
    ("limits", "Limits", "[limits](#limits)"),
    ("smtp", "SmtpSettings", "[smtp](#smtp)"),
    ("secrets", "SecretReference", "[secret](#secrets)"),
];

const LINKS: [(&str, &str); 11] = {
    let mut links = [("", ""); 11];
    let mut index = 0;
    while index < links.len() {
        links[index] = (SECTIONS[index].1, SECTIONS[index].2);
        index += 1;
    }
    links
};

fn section() -> String {
    let tables = Tables {
        whole: serde_json::to_value(schemars::schema_for!(Config)).unwrap(),
        sections: &LINKS,
    };
    let mut text = tables.table(&tables.whole);
    for (title, definition, _) in SECTIONS {
        let object = tables.definition(definition);
        let said = object["description"].as_str().unwrap_or_default();
        write!(text, "\n### {title}\n\n{said}\n\n").unwrap();
        match object["oneOf"].as_array() {
            Some(ways) => {
                for way in ways {
                    let said = way["description"].as_str().unwrap_or_default();
                    let name = way["required"][0].as_str().unwrap_or_default();
                    writeln!(text, "- `{{ \"{name}\": \"…\" }}`: {said}").unwrap();
                }
            }
            None => text.push_str(&tables.table(object)),
        }
    }
    text
}

#[test]
fn the_reference_of_the_configuration() {
    super::compare_part("operations.md", "config", &section());
}
