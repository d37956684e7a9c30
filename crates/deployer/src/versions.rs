//! What the catalogue says of a version → what the deployer keeps of it. Pure.

use common::messages::application::{Application, ApplicationCommand, ApplicationVersion, VersionState};

use crate::records::{Build, VersionRecord};

/// What a catalogue entry asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Asked {
    /// Nothing new.
    Nothing,
    /// Keep this.
    Keep(Box<VersionRecord>),
    /// The catalogue missed how the build ended: tell it again.
    ReportAgain,
}

/// Compares a version of the catalogue with what is kept.
pub(crate) fn fold(application: &Application, version: &ApplicationVersion, current: Option<&VersionRecord>) -> Asked {
    // The name of a deleted application may be used again.
    let current = current.filter(|current| !matches!(current.build, Build::Discarded { .. }));
    let same_bundle = current.is_some_and(|current| current.bundle.sha256 == version.bundle.sha256);
    let build = match (&version.state, current.map(|current| &current.build)) {
        (VersionState::Building, Some(Build::Wanted { .. })) if same_bundle => return Asked::Nothing,
        (VersionState::Building, Some(_)) if same_bundle => return Asked::ReportAgain,
        (VersionState::Building, _) => Build::Wanted {
            attempt: 0,
            not_before: None,
        },
        (_, Some(_)) => return Asked::Nothing,
        // This deployer lost what it knew; the catalogue did not.
        (VersionState::Ready { image }, None) => Build::Ready { image: image.clone() },
        (VersionState::Failed { reason }, None) => Build::Failed { reason: reason.clone() },
    };
    Asked::Keep(Box::new(VersionRecord {
        id: version.id,
        application: application.id,
        number: version.number.clone(),
        manifest: version.manifest.clone(),
        bundle: version.bundle.clone(),
        build,
    }))
}

/// A version that the catalogue has no more; none when that is known.
pub(crate) fn discard(current: &VersionRecord) -> Option<VersionRecord> {
    let image = match &current.build {
        Build::Discarded { .. } => return None,
        Build::Ready { image } => Some(image.clone()),
        Build::Wanted { .. } | Build::Failed { .. } => None,
    };
    Some(VersionRecord {
        build: Build::Discarded { image },
        ..current.clone()
    })
}

/// The report of a build that ended.
pub(crate) fn report(record: &VersionRecord) -> Option<ApplicationCommand> {
    let outcome = match &record.build {
        Build::Wanted { .. } | Build::Discarded { .. } => return None,
        Build::Ready { image } => VersionState::Ready { image: image.clone() },
        Build::Failed { reason } => VersionState::Failed { reason: reason.clone() },
    };
    Some(ApplicationCommand::RecordBuild {
        application: record.application,
        version: record.id,
        outcome,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use common::messages::application::{BundleRef, Listed};
    use common::{ApplicationId, Timestamp, UserId, VersionId};

    use super::*;

    pub(crate) fn application(state: VersionState) -> Application {
        let manifest = serde_json::from_str(
            r#"{"manifest":1,"name":"demo","title":"Demo","version":"1.0.0","runtime":{"python":"3"},"start":["python","main.py"],
                "page":{"port":8080,"health":"/healthz"}}"#,
        )
        .unwrap();
        let version = ApplicationVersion {
            id: VersionId::derive(&["demo"]),
            number: "1.0.0".to_owned(),
            manifest,
            bundle: BundleRef {
                sha256: "ab".repeat(32),
                size_bytes: 10,
            },
            uploaded: Timestamp::from_millis(0),
            state,
        };
        Application {
            id: ApplicationId::derive(&["demo"]),
            name: "demo".to_owned(),
            title: "Demo".to_owned(),
            description: String::new(),
            owner: UserId::derive(&["dev"]),
            listed: Listed::Everyone,
            versions: vec![version],
            version: 1,
            created: Timestamp::from_millis(0),
            updated: Timestamp::from_millis(0),
        }
    }

    /// What is kept of a version that is to be built.
    pub(crate) fn record(application: &Application, version: &ApplicationVersion) -> VersionRecord {
        let Asked::Keep(record) = fold(application, version, None) else {
            panic!()
        };
        *record
    }

    fn folded(state: VersionState, current: Option<&VersionRecord>) -> Asked {
        let application = application(state);
        fold(&application, &application.versions[0], current)
    }

    #[test]
    fn a_new_version_is_built_once() {
        let Asked::Keep(record) = folded(VersionState::Building, None) else {
            panic!()
        };
        assert_eq!(
            record.build,
            Build::Wanted {
                attempt: 0,
                not_before: None
            }
        );
        assert_eq!(folded(VersionState::Building, Some(&record)), Asked::Nothing);
        assert_eq!(report(&record), None);
    }

    #[test]
    fn what_the_catalogue_missed_is_told_again() {
        let Asked::Keep(mut record) = folded(VersionState::Building, None) else {
            panic!()
        };
        record.build = Build::Ready {
            image: "r/i@sha256:1".to_owned(),
        };
        assert_eq!(folded(VersionState::Building, Some(&record)), Asked::ReportAgain);
        assert!(report(&record).is_some());
        assert_eq!(
            folded(
                VersionState::Ready {
                    image: "r/i@sha256:1".to_owned()
                },
                Some(&record)
            ),
            Asked::Nothing
        );
        record.bundle.sha256 = "cd".repeat(32);
        assert!(matches!(folded(VersionState::Building, Some(&record)), Asked::Keep(_)));
    }

    #[test]
    fn a_discarded_version_is_known_as_such_until_its_name_is_used_again() {
        let building = application(VersionState::Building);
        let wanted = record(&building, &building.versions[0]);
        let image = || "r/i@sha256:1".to_owned();
        let ready = VersionRecord {
            build: Build::Ready { image: image() },
            ..wanted.clone()
        };
        for (before, image) in [(&wanted, None), (&ready, Some(image()))] {
            let discarded = discard(before).unwrap();
            assert_eq!(discarded.build, Build::Discarded { image });
            assert_eq!((discard(&discarded), report(&discarded)), (None, None));
            assert_eq!(
                folded(VersionState::Building, Some(&discarded)),
                Asked::Keep(Box::new(wanted.clone()))
            );
        }
    }

    #[test]
    fn a_deployer_that_forgot_learns_from_the_catalogue() {
        let Asked::Keep(record) = folded(
            VersionState::Ready {
                image: "r/i@sha256:1".to_owned(),
            },
            None,
        ) else {
            panic!()
        };
        assert_eq!(
            record.build,
            Build::Ready {
                image: "r/i@sha256:1".to_owned()
            }
        );
    }
}
