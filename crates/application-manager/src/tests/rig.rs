//! An application manager without infrastructure, and a client.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode};
use common::messages::operation::{OperationEvent, Requester};
use common::messages::registry::{Entry, RegistryCommand, RegistryEvent};
use common::messages::schedule::{Schedule, ScheduleCommand, ScheduleEvent, ScheduleStatus};
use common::messages::user::{Role, User, UserEvent};
use common::settings::Settings;
use common::{Timestamp, UserId};
use runtime::memory::MemoryBus;
use runtime::store::{Documents, MemoryDocuments};
use runtime::{Bus, Entities, Record};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::access::{Accounts, NewAccount};
use crate::app::App;
use crate::archive::MemoryArchive;
use crate::view::{Fold, ReadModel};

/// What every account of a test has as password.
pub(super) const PASSWORD: &str = "correct horse battery";

/// The token of this host.
pub(super) const HOST_TOKEN: &str = "a token of this host";

/// The application manager and what lies around it.
pub(super) struct Rig {
    pub(super) app: Arc<App>,
    pub(super) router: Router,
    pub(super) memory: Arc<MemoryBus>,
    pub(super) archive: Arc<MemoryArchive>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Answer {
    /// Returns a text field of the body.
    pub(super) fn text(&self, field: &str) -> &str {
        self.body[field]
            .as_str()
            .unwrap_or_else(|| panic!("no {field} in {:?}", self.body))
    }
}

/// One request.
pub(super) struct Ask<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) token: Option<&'a str>,
    pub(super) body: Option<Value>,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) peer: [u8; 4],
}

impl<'a> Ask<'a> {
    pub(super) fn new(method: &'a str, path: &'a str, token: &'a str) -> Self {
        Self {
            method,
            path,
            token: Some(token),
            body: None,
            headers: &[],
            peer: [127, 0, 0, 1],
        }
    }

    pub(super) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    pub(super) fn headers(mut self, headers: &'a [(&'a str, &'a str)]) -> Self {
        self.headers = headers;
        self
    }
}

/// Returns settings of an installation that does not exist.
pub(crate) fn settings() -> Settings {
    serde_json::from_value(json!({
        "name": "test", "host": "h", "data_dir": "/nonexistent", "secrets_dir": "/nonexistent", "public_address": "iot.example",
        "kafka": { "brokers": "127.0.0.1:1", "replication": 1 },
        "mongodb": { "uri": "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=1", "database": "test" },
        "engine": {
            "socket": "/nonexistent", "network": "n", "gateway": "10.0.0.1", "registry": "127.0.0.1:5000", "base_images": {},
            "sdk_dir": "/nonexistent"
        },
        "ports": {
            "console": 80, "applications": 8081, "mqtt": 1883, "ingestion": 8082, "readings": 7601, "actions": 7602,
            "agent_readings": 7611, "agent_actions": 7612, "admin": {}
        },
        "limits": {}
    }))
    .unwrap()
}

impl Rig {
    /// Makes one; nothing in it connects to anything.
    pub(super) async fn new() -> Self {
        let settings = settings();
        let (memory, bus) = MemoryBus::bus("application-manager");
        let documents: Arc<dyn Documents> = Arc::new(MemoryDocuments::default());
        let mongo = runtime::mongo::Mongo::connect(&settings, "test").await.unwrap();
        let bundles = crate::bundles::Bundles::new(mongo.database());
        let archive = Arc::new(MemoryArchive::default());
        fn entities<T: runtime::Entity>(documents: &Arc<dyn Documents>, bus: &Bus) -> Entities<T> {
            Entities::new(documents.clone(), bus.clone())
        }
        let app = Arc::new(App {
            ports: settings.ports.clone(),
            public_address: settings.public_address.clone(),
            device_addresses: Vec::new(),
            bus: bus.clone(),
            accounts: Accounts::on(&documents, &bus).with_host_token(Some(HOST_TOKEN)),
            view: ReadModel::default(),
            live: crate::live::LiveValues::default(),
            hub: Arc::default(),
            operations: crate::operations::Operations::new(entities(&documents, &bus)),
            archive: archive.clone(),
            intake: crate::bundle::Intake::new(&settings),
            catalogue: crate::catalogue::Catalogue::new(entities(&documents, &bus), bundles, bus.clone()),
            logs: crate::logs::Logs::in_memory(),
            pages: crate::pages::PageKeys::new(entities(&documents, &bus), &settings),
        });
        Self {
            router: crate::router(app.clone()),
            app,
            memory,
            archive,
        }
    }

    /// Puts what was published about users into the view, as the tail would.
    pub(super) fn settle_users(&self) {
        for event in self.memory.messages::<UserEvent>() {
            self.app.view.change(|view| view.fold(&event));
        }
    }

    /// Makes a user; `must_change` leaves the one-time password in place. Returns the user and a session.
    pub(super) async fn user(&self, name: &str, roles: &[Role], must_change: bool) -> (User, String) {
        let new = NewAccount {
            name: name.parse().unwrap(),
            title: format!("{}{}", name[..1].to_uppercase(), &name[1..]),
            roles: roles.to_vec(),
            email: None,
            webhook: None,
            password: PASSWORD.to_owned(),
        };
        let accounts = &self.app.accounts;
        accounts.create(UserId::derive(&["test", name]), new).await.unwrap();
        let set = |account: &mut crate::access::Account| {
            account.must_change = must_change;
            account.user.created = Timestamp::from_millis(0);
            Ok(())
        };
        let user = accounts.change(name, set).await.unwrap();
        self.settle_users();
        let account = accounts.accounts.get(name).await.unwrap().unwrap().entity;
        let session = accounts.begin_session(&account, Timestamp::now()).await.unwrap();
        (user, session)
    }

    /// Sends a request.
    pub(super) async fn send(&self, ask: Ask<'_>) -> Answer {
        let mut request = Request::builder()
            .method(ask.method)
            .uri(ask.path)
            .header("host", "iot.example");
        if let Some(token) = ask.token {
            request = request.header("cookie", format!("other=1; iot_session={token}"));
        }
        for (name, value) in ask.headers {
            request = request.header(*name, *value);
        }
        let body = match ask.body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let mut request = request.body(body).unwrap();
        request
            .extensions_mut()
            .insert(ConnectInfo(SocketAddr::from((ask.peer, 5000))));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let streams = headers
            .get("content-type")
            .is_some_and(|kind| kind == "text/event-stream");
        let bytes = if streams {
            Vec::new()
        } else {
            axum::body::to_bytes(response.into_body(), 10_000_000)
                .await
                .unwrap()
                .to_vec()
        };
        Answer {
            status,
            headers,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        }
    }

    /// Begins to play the other services: what is asked for over the bus happens in the view, and is answered.
    pub(super) fn play_owners(&self) -> tokio::task::JoinHandle<()> {
        let (app, memory) = (self.app.clone(), self.memory.clone());
        tokio::spawn(async move {
            let mut handled = HashSet::new();
            loop {
                for (index, record) in memory.records().iter().enumerate() {
                    if handled.insert(index) {
                        carry_out(&app, record);
                    }
                }
                tokio::task::yield_now().await;
            }
        })
    }
}

fn carry_out(app: &App, record: &Record) {
    let now = Timestamp::now();
    let done = |by: &Requester, version: Option<u64>| {
        app.operations.fold(
            &OperationEvent::Done {
                id: by.operation,
                version,
            },
            now,
        );
    };
    if record.topic == "registry.commands" {
        match record.decode::<RegistryCommand>().unwrap().unwrap().message {
            RegistryCommand::Put {
                mut entry,
                expected,
                by,
            } => {
                let version = expected.unwrap_or(0) + 1;
                entry.set_version(version);
                if let Entry::Connector(connector) = &entry {
                    assert_eq!(connector.secret_sha256.len(), 64);
                }
                app.view.change(|view| view.fold(&RegistryEvent::Changed { entry }));
                done(&by, Some(version));
            }
            RegistryCommand::Delete { id, by } => {
                app.view.change(|view| view.fold(&RegistryEvent::Deleted { id }));
                done(&by, None);
            }
        }
    }
    if record.topic == "schedule.commands"
        && let ScheduleCommand::Create { id, by, owner, spec } =
            record.decode::<ScheduleCommand>().unwrap().unwrap().message
    {
        let schedule = Box::new(Schedule {
            id,
            owner,
            spec: *spec,
            status: ScheduleStatus::Active,
            next_due: None,
            last: None,
            skipped: 0,
            recent_skips: Vec::new(),
            created: now,
            version: 1,
        });
        app.view.change(|view| view.fold(&ScheduleEvent::Changed { schedule }));
        done(&by, Some(1));
    }
}
