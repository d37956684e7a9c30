use std::sync::Arc;

use super::*;
use common::manifest::Manifest;
use common::messages::application::VersionState;
use runtime::memory::{self, MemoryBus};
use runtime::mongo::Mongo;
use runtime::store::MemoryDocuments;

fn manifest(version: &str, title: &str) -> Manifest {
    serde_json::from_value(serde_json::json!({
        "manifest": 1, "name": "demo", "title": title, "version": version,
        "runtime": {"python": "3"}, "start": ["python", "main.py"],
    }))
    .unwrap()
}

fn upload(developer: UserId, version: &str, sha256: &str) -> Upload {
    Upload {
        developer,
        reference: BundleRef {
            sha256: sha256.to_owned(),
            size_bytes: 1,
        },
        manifest: manifest(version, version),
        listed: None,
    }
}

/// A catalogue in memory; the client connects to nothing, because bundles are not touched.
async fn catalogue() -> (Arc<MemoryBus>, Catalogue) {
    let (memory, bus) = MemoryBus::bus("application-manager");
    let applications = Entities::new(Arc::new(MemoryDocuments::default()), bus.clone());
    let nowhere = crate::tests::rig::settings();
    let bundles = Bundles::new(Mongo::connect(&nowhere, "test").await.unwrap().database());
    (memory, Catalogue::new(applications, bundles, bus))
}

async fn put(catalogue: &Catalogue, upload: &Upload) -> Result<(Application, VersionId), UploadError> {
    catalogue.record(&application_id("demo").to_string(), upload).await
}

#[tokio::test]
async fn the_same_upload_again_is_the_same_version_and_says_nothing_new() {
    let (memory, catalogue) = catalogue().await;
    let developer = UserId::new();
    let (first, version) = put(&catalogue, &upload(developer, "1.0.0", "a")).await.unwrap();
    let again = put(&catalogue, &upload(developer, "1.0.0", "a")).await.unwrap();
    assert_eq!(again, (first.clone(), version));
    assert_eq!(first.versions[0].state, VersionState::Building);
    assert_eq!(first.listed, Listed::Named { users: Vec::new() });
    assert_eq!(
        memory.messages::<ApplicationEvent>(),
        [ApplicationEvent::Changed {
            application: Box::new(first)
        }]
    );
}

#[tokio::test]
async fn names_and_versions_are_taken_once() {
    let (memory, catalogue) = catalogue().await;
    let developer = UserId::new();
    put(&catalogue, &upload(developer, "1.0.0", "a")).await.unwrap();
    let other = put(&catalogue, &upload(developer, "1.0.0", "b")).await.unwrap_err();
    assert!(
        matches!(&other, UploadError::VersionTaken { number, .. } if number == "1.0.0"),
        "{other}"
    );
    let other = put(&catalogue, &upload(UserId::new(), "2.0.0", "b")).await.unwrap_err();
    assert!(
        matches!(&other, UploadError::NameTaken { name } if name == "demo"),
        "{other}"
    );
    assert_eq!(memory.records().len(), 1);
}

#[tokio::test]
async fn title_and_description_are_of_the_highest_version() {
    let (_, catalogue) = catalogue().await;
    let developer = UserId::new();
    for version in ["1.9.0", "1.10.0", "1.2.0"] {
        put(&catalogue, &upload(developer, version, version)).await.unwrap();
    }
    let application = catalogue.get("demo").await.unwrap().unwrap();
    assert_eq!(application.title, "1.10.0");
    let order: Vec<&str> = application
        .versions
        .iter()
        .map(|version| version.number.as_str())
        .collect();
    assert_eq!(order, ["1.9.0", "1.10.0", "1.2.0"], "as uploaded");
}

#[tokio::test]
async fn a_build_is_recorded_once() {
    let (memory, catalogue) = catalogue().await;
    let (application, version) = put(&catalogue, &upload(UserId::new(), "1.0.0", "a")).await.unwrap();
    let report = memory::envelope(ApplicationCommand::RecordBuild {
        application: application.id,
        version,
        outcome: VersionState::Ready {
            image: "registry/demo@sha256:1".to_owned(),
        },
    });
    memory::feed_twice(&catalogue, &report).await.unwrap();
    let now = catalogue.get("demo").await.unwrap().unwrap();
    assert!(matches!(&now.versions[0].state, VersionState::Ready { image } if image == "registry/demo@sha256:1"));
    assert!(now.version > application.version);
    assert_eq!(memory.distinct::<ApplicationEvent>().len(), 2);
    assert_eq!(memory.messages::<ApplicationEvent>().len(), 2);
}

#[tokio::test]
async fn reports_that_can_never_work_are_rejected() {
    let (_, catalogue) = catalogue().await;
    let (application, version) = put(&catalogue, &upload(UserId::new(), "1.0.0", "a")).await.unwrap();
    let ready = VersionState::Ready { image: "x".to_owned() };
    let table = [
        (ApplicationId::new(), version, ready.clone()),
        (application.id, VersionId::new(), ready),
        (application.id, version, VersionState::Building),
    ];
    for (application, version, outcome) in table {
        let report = memory::envelope(ApplicationCommand::RecordBuild {
            application,
            version,
            outcome,
        });
        assert!(matches!(catalogue.handle(&report).await, Err(HandleError::Reject(_))));
    }
}

#[tokio::test]
async fn who_sees_it_is_changed_at_the_expected_version() {
    let (memory, catalogue) = catalogue().await;
    let (application, _) = put(&catalogue, &upload(UserId::new(), "1.0.0", "a")).await.unwrap();
    let stale = catalogue
        .set_listed("demo", &Listed::Everyone, Some(application.version + 7))
        .await;
    assert!(matches!(stale, Err(ChangeError::OtherVersion { .. })));
    let changed = catalogue
        .set_listed("demo", &Listed::Everyone, Some(application.version))
        .await
        .unwrap();
    assert_eq!(changed.listed, Listed::Everyone);
    let again = catalogue.set_listed("demo", &Listed::Everyone, None).await.unwrap();
    assert_eq!(again, changed);
    assert!(matches!(
        catalogue.set_listed("none", &Listed::Everyone, None).await,
        Err(ChangeError::NotFound)
    ));
    assert_eq!(memory.messages::<ApplicationEvent>().len(), 2);
}

#[test]
fn an_application_stays_small_enough_to_travel() {
    let developer = UserId::new();
    let mut application = None;
    let mut refused = None;
    for number in 0..1000 {
        let mut next = upload(developer, &format!("1.0.{number}"), "a");
        next.manifest.description = "d".repeat(3000);
        match decide_upload(application.as_ref(), &next, Timestamp::from_millis(0), number) {
            Ok(changed) => application = changed,
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    assert!(matches!(refused, Some(UploadError::TooManyVersions { .. })));
    assert!(application.unwrap().versions.len() > 100);
}
