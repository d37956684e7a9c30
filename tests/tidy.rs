//! The rules of ARCHITECTURE.md that a program can check.

#[cfg(test)]
mod checks {
    use std::fs;
    use std::path::{Path, PathBuf};

    const SERVICES: [&str; 6] = [
        "application-manager",
        "scheduler",
        "deployer",
        "sensor-manager",
        "action-manager",
        "monitor",
    ];

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
    }

    /// Returns every Rust file of the workspace with its path from the root and its text.
    fn sources() -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut folders = vec![root().join("crates"), root().join("bootstrap"), root().join("tests")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if path.is_dir() {
                    if !["target", "node_modules", "dist", "console"].contains(&name.as_str()) {
                        folders.push(path);
                    }
                } else if name.ends_with(".rs") {
                    let short = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                    found.push((short, fs::read_to_string(&path).unwrap()));
                }
            }
        }
        assert!(found.len() > 50, "the walk finds the sources");
        found
    }

    /// Whether the code (not a comment) names a crate's path.
    fn uses(text: &str, name: &str) -> bool {
        text.lines()
            .map(str::trim_start)
            .filter(|line| !line.starts_with("//"))
            .any(|line| {
                line.match_indices(name).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    let after = &line[at + name.len()..];
                    !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '"') && after.starts_with("::")
                })
            })
    }

    #[test]
    fn no_service_depends_on_another() {
        for service in SERVICES {
            let manifest = fs::read_to_string(root().join("crates").join(service).join("Cargo.toml")).unwrap();
            for other in SERVICES.iter().filter(|other| **other != service) {
                let depends = manifest.lines().any(|line| line.trim_start().starts_with(other));
                assert!(
                    !depends,
                    "crates/{service} depends on {other}: services talk only through Kafka"
                );
            }
        }
    }

    #[test]
    fn foreign_systems_are_touched_in_one_place_each() {
        let is_store = |path: &str| path.split('/').any(|part| part == "store" || part == "store.rs");
        for (path, text) in sources() {
            let at = |allowed: &str| path.starts_with(allowed);
            assert!(
                !uses(&text, "rdkafka") || at("crates/runtime/src/kafka/"),
                "{path} uses rdkafka; only runtime/src/kafka may"
            );
            assert!(
                !uses(&text, "bollard") || at("crates/deployer/src/docker"),
                "{path} uses bollard; only deployer/src/docker may"
            );
            assert!(
                !uses(&text, "russh") || at("crates/hosts/src/ssh"),
                "{path} uses russh; only hosts/src/ssh may"
            );
            assert!(
                !uses(&text, "mongodb") || at("bootstrap/") || at("crates/runtime/src/mongo/") || is_store(&path),
                "{path} uses mongodb; only runtime/src/mongo and files named store may"
            );
        }
    }

    #[test]
    fn the_first_command_always_compiles() {
        for place in ["bootstrap", "crates/common"] {
            let manifest = fs::read_to_string(root().join(place).join("Cargo.toml")).unwrap();
            for heavy in ["rdkafka", "mongodb", "openssl", "bollard"] {
                assert!(!manifest.contains(heavy), "{place} depends on {heavy}");
            }
        }
    }

    #[test]
    fn collections_bear_the_name_of_their_only_owner() {
        for (path, text) in sources() {
            let Some(service) = SERVICES
                .iter()
                .find(|service| path.starts_with(&format!("crates/{service}/src/")))
            else {
                continue;
            };
            let prefix = service.replace('-', "_");
            for line in text
                .lines()
                .filter(|line| line.contains("const COLLECTION: &'static str"))
            {
                let name = line.split('"').nth(1).unwrap_or_default();
                assert!(
                    name.starts_with(&prefix),
                    "{path}: collection `{name}` does not begin with `{prefix}`"
                );
            }
        }
    }

    #[test]
    fn nothing_is_ignored_or_left_open() {
        for (path, text) in sources().into_iter().filter(|(path, _)| path != "tests/tidy.rs") {
            for mark in ["#[ignore", "todo!(", "unimplemented!(", "#[should_panic"] {
                assert!(!text.contains(mark), "{path} contains `{mark}`");
            }
        }
    }

    #[test]
    fn files_stay_short_enough_to_read() {
        for (path, text) in sources() {
            let lines = text.lines().count();
            assert!(lines <= 600, "{path} has {lines} lines: does it do two things?");
        }
    }

    #[test]
    fn the_project_speaks_of_itself_alone() {
        let page = |name: &str| fs::read_to_string(root().join(name)).unwrap_or_default();
        let mut texts = sources();
        for name in ["README.md", "ARCHITECTURE.md", "config.json", "deny.toml", ".ci/run"] {
            texts.push((name.to_owned(), page(name)));
        }
        for (path, text) in texts.into_iter().filter(|(path, _)| path != "tests/tidy.rs") {
            for word in ["/work/", "../shared"] {
                assert!(!text.contains(word), "{path} mentions `{word}`");
            }
        }
    }

    /// Rules and dashboards are read by other programs, which say nothing when a name is wrong.
    #[test]
    fn what_is_watched_is_measured() {
        let code: String = sources().into_iter().map(|(_, text)| text).collect();
        for file in ["alerts.yml", "dashboard.json"] {
            let text = fs::read_to_string(root().join("deploy/monitoring").join(file)).unwrap();
            let names: std::collections::BTreeSet<&str> = text
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .filter(|word| word.contains('_') && word.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
                .filter(|word| {
                    [
                        "_total",
                        "_seconds",
                        "_seconds_count",
                        "_bytes",
                        "_services",
                        "_components",
                        "_lag",
                        "_held",
                        "_waiting",
                        "_connections",
                    ]
                    .iter()
                    .any(|end| word.ends_with(end))
                })
                .collect();
            assert!(names.len() > 5, "{file}: {names:?}");
            for name in names {
                let measured = name.strip_suffix("_count").unwrap_or(name);
                assert!(
                    code.contains(&format!("\"{measured}\"")),
                    "{file}: nothing measures {name}"
                );
            }
        }
    }
}
