//! What the scenario stands on: an installation of its own name, both processes, a reader of what they say.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::manifest::{Kind, Manifest, ThingKind, Value};
use common::messages::application::{
    Application, ApplicationCommand, ApplicationEvent, ApplicationVersion, BundleRef, Listed, VersionState,
};
use common::messages::binding::{Binding, BindingEvent, BindingState, Missing};
use common::messages::instance::{Instance, InstanceCommand, InstanceEvent, InstanceSpec, InstanceState};
use common::messages::log::AppLog;
use common::messages::schedule::VersionRef;
use common::settings::Settings;
use common::{ApplicationId, InstanceId, LocationId, Message, MessageId, ScheduleId, Timestamp, UserId, VersionId};
use runtime::kafka::{KafkaConfig, KafkaPublisher};
use runtime::mongo::Mongo;
use runtime::{Bus, TailFrom, TailItem};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const NAME: &str = "deploy-trial";
const PATIENCE: Duration = Duration::from_secs(90);

/// An uploaded application.
pub(crate) struct StageApp {
    id: ApplicationId,
    version: VersionId,
    manifest: Manifest,
}

#[derive(Default)]
struct Heard {
    builds: BTreeMap<VersionId, VersionState>,
    build_lines: BTreeMap<VersionId, BTreeMap<u64, String>>,
    instances: BTreeMap<InstanceId, Vec<Instance>>,
    /// By container and number.
    lines: BTreeMap<InstanceId, BTreeMap<(String, u64), String>>,
}

pub(crate) struct Stage {
    folder: tempfile::TempDir,
    bus: Bus,
    mongo: Mongo,
    heard: Arc<Mutex<Heard>>,
    processes: Vec<Child>,
    count: u32,
}

impl Stage {
    pub(crate) async fn open() -> Self {
        let path = PathBuf::from(std::env::var("PLATFORM_SETTINGS").expect("PLATFORM_SETTINGS"));
        let mut settings = Settings::load(&path).unwrap();
        let folder = tempfile::tempdir().unwrap();
        remove_leftovers().await;
        let run = format!("{:x}", Timestamp::now().millis());
        settings.name = NAME.to_owned();
        settings.host = format!("trial-{run}");
        settings.mongodb.database = format!("deploy_trial_{run}");
        settings.data_dir = folder.path().to_owned();
        settings.secrets_dir = folder.path().to_owned();
        std::fs::write(folder.path().join("token.key"), "trial").unwrap();
        // A port that the firewall lets applications reach.
        std::mem::swap(&mut settings.ports.agent_readings, &mut settings.ports.agent_actions);
        settings.ports.agent_actions = 7899;
        settings.ports.readings = echo().await;
        for (service, port) in [("deployer", 7892), ("agent", 7896)] {
            settings.ports.admin.insert(service.to_owned(), port);
        }
        std::fs::write(
            folder.path().join("settings.json"),
            serde_json::to_string(&settings).unwrap(),
        )
        .unwrap();
        let kafka = KafkaConfig::from_settings(&settings, "trial");
        runtime::kafka::ensure_topics(&kafka).await.unwrap();
        let bus = Bus::new(Arc::new(KafkaPublisher::new(kafka.clone()).unwrap()), "trial");
        let mongo = Mongo::connect(&settings.mongodb, "trial").await.unwrap();
        let mut stage = Self {
            folder,
            bus,
            mongo,
            heard: Arc::default(),
            processes: Vec::new(),
            count: 0,
        };
        stage.listen(&kafka).await;
        stage.start_services();
        stage
    }

    async fn listen(&self, kafka: &Arc<KafkaConfig>) {
        self.hear(
            kafka,
            |heard, ApplicationCommand::RecordBuild { version, outcome, .. }| {
                heard.builds.insert(version, outcome);
            },
        )
        .await;
        self.hear(kafka, |heard, event| {
            if let InstanceEvent::Changed { instance } = event {
                println!("{} {} {:?}", Timestamp::now(), instance.id, instance.state);
                heard.instances.entry(instance.id).or_default().push(*instance);
            }
        })
        .await;
        self.hear(kafka, |heard, log| match log {
            AppLog::Build { version, lines } => {
                let known = heard.build_lines.entry(version).or_default();
                known.extend(lines.into_iter().map(|line| (line.number, line.text)));
            }
            AppLog::Instance {
                instance,
                container,
                lines,
            } => {
                let known = heard.lines.entry(instance).or_default();
                for line in lines {
                    println!("{} {container} {} {}", line.time, line.number, line.text);
                    let before = known.insert((container.clone(), line.number), line.text.clone());
                    assert!(
                        before.is_none_or(|before| before == line.text),
                        "a number names one line"
                    );
                }
            }
        })
        .await;
    }

    async fn hear<M: Message>(&self, kafka: &Arc<KafkaConfig>, mut learn: impl FnMut(&mut Heard, M) + Send + 'static) {
        // Topics that were just created have no leader for a moment.
        let mut tail = loop {
            match runtime::kafka::tail::<M>(kafka.clone(), TailFrom::End).await {
                Ok(tail) => break tail,
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        };
        let heard = self.heard.clone();
        tokio::spawn(async move {
            while let Ok(item) = tail.next().await {
                if let TailItem::Message(placed) = item {
                    learn(&mut heard.lock().unwrap(), placed.envelope.message);
                }
            }
        });
    }

    pub(crate) fn start_services(&mut self) {
        for agent in [false, true] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_deployer"));
            command.arg("--settings").arg(self.folder.path().join("settings.json"));
            if agent {
                command.arg("--agent");
            }
            self.processes.push(command.stdin(Stdio::null()).spawn().unwrap());
        }
    }

    pub(crate) async fn kill_services(&mut self) {
        for mut process in self.processes.drain(..) {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    async fn publish<M: Message>(&self, message: M) {
        self.bus.publish_first(MessageId::new(), message).await.unwrap();
    }

    pub(crate) async fn upload(&self, name: &str, files: &[(&str, &str)]) -> StageApp {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, text) in files {
            zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        let bytes = zip.finish().unwrap().into_inner();
        let sha256 = hex::encode(Sha256::digest(&bytes));
        crate::store::put(&self.mongo, &sha256, &bytes).await;
        let manifest: Manifest = serde_json::from_value(serde_json::json!({
            "manifest": 1, "name": name, "title": name, "version": "1.0.0", "runtime": {"python": "3"},
            "start": ["python", "main.py"], "page": {"port": 8080, "health": "/healthz"},
            "resources": {"memory_mib": 64, "cpus": 0.2}, "stop_timeout_seconds": 5
        }))
        .unwrap();
        let now = Timestamp::now();
        let version = ApplicationVersion {
            id: VersionId::new(),
            number: "1.0.0".to_owned(),
            manifest: manifest.clone(),
            bundle: BundleRef {
                sha256,
                size_bytes: bytes.len() as u64,
            },
            uploaded: now,
            state: VersionState::Building,
        };
        let app = StageApp {
            id: ApplicationId::new(),
            version: version.id,
            manifest,
        };
        let application = Application {
            id: app.id,
            name: name.to_owned(),
            title: name.to_owned(),
            description: String::new(),
            owner: UserId::new(),
            listed: Listed::Everyone,
            versions: vec![version],
            version: 1,
            created: now,
            updated: now,
        };
        self.publish(ApplicationEvent::Changed {
            application: Box::new(application),
        })
        .await;
        app
    }

    async fn wait<R>(&self, what: &str, mut look: impl FnMut(&Heard) -> Option<R>) -> R {
        let begun = Instant::now();
        loop {
            if let Some(found) = look(&self.heard.lock().unwrap()) {
                println!("{what} after {:.2} s", begun.elapsed().as_secs_f64());
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn built(&self, app: &StageApp) -> VersionState {
        self.wait("the build's end", |heard| heard.builds.get(&app.version).cloned())
            .await
    }

    pub(crate) fn build_log(&self, app: &StageApp) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        heard
            .build_lines
            .get(&app.version)
            .map(|lines| lines.values().cloned().collect())
            .unwrap_or_default()
    }

    pub(crate) async fn start(&mut self, app: &StageApp, kind: Kind, mode: &str) -> InstanceId {
        self.count += 1;
        let id = InstanceId::new();
        let mut manifest = app.manifest.clone();
        manifest.kind = kind;
        let text = |text: &str| Value::Text(text.to_owned());
        let spec = InstanceSpec {
            schedule: ScheduleId::new(),
            schedule_name: mode.to_owned(),
            due: Timestamp::now(),
            version: VersionRef {
                application: app.id,
                version: app.version,
                number: "1.0.0".to_owned(),
                developer: UserId::new(),
                manifest,
            },
            location: LocationId::new(),
            location_path: "Lab".to_owned(),
            parameters: [
                ("mode".to_owned(), text(mode)),
                ("braces".to_owned(), text("{{.Node.ID}}")),
            ]
            .into(),
            owner: UserId::new(),
            stop_at: None,
        };
        self.command(InstanceCommand::Start {
            id,
            spec: Box::new(spec),
        })
        .await;
        id
    }

    pub(crate) async fn command(&self, command: InstanceCommand) {
        self.publish(command).await;
    }

    async fn bind(&self, instance: InstanceId, state: BindingState, version: u64) {
        let binding = Box::new(Binding {
            instance,
            state,
            version,
        });
        self.publish(BindingEvent::Changed { binding }).await;
    }

    pub(crate) async fn bound(&self, instance: InstanceId) {
        self.bind(instance, BindingState::Bound { slots: BTreeMap::new() }, 2)
            .await;
    }

    pub(crate) async fn unsatisfied(&self, instance: InstanceId) {
        let missing = Missing {
            slot: "fan".to_owned(),
            kind: ThingKind::Device,
            type_name: "fan".to_owned(),
            need: 1,
            have: 0,
            place: "Lab".to_owned(),
        };
        self.bind(instance, BindingState::Unsatisfied { missing: vec![missing] }, 1)
            .await;
    }

    pub(crate) fn instance(&self, id: InstanceId) -> Instance {
        self.heard.lock().unwrap().instances[&id].last().unwrap().clone()
    }

    /// Waits until the newest state has that name.
    pub(crate) async fn state(&self, id: InstanceId, name: &str) -> InstanceState {
        let newest = |heard: &Heard| Some(heard.instances.get(&id)?.last()?.state.clone());
        self.wait(name, |heard| newest(heard).filter(|state| state.name() == name))
            .await
    }

    pub(crate) async fn restarts(&self, id: InstanceId, restarts: u32) {
        let newest = |heard: &Heard| Some(heard.instances.get(&id)?.last()?.restarts);
        self.wait("restarts", |heard| newest(heard).filter(|seen| *seen >= restarts))
            .await;
    }

    /// Waits until a page is announced, and asks for it.
    pub(crate) async fn endpoint(&self, id: InstanceId) {
        let newest = |heard: &Heard| heard.instances.get(&id)?.last()?.endpoints.first().cloned();
        let endpoint = self.wait("an endpoint", newest).await;
        let mut stream = tokio::net::TcpStream::connect((endpoint.host.as_str(), endpoint.port))
            .await
            .unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("ok"), "{answer}");
    }

    /// Waits for a line; returns all lines.
    pub(crate) async fn log(&self, id: InstanceId, line: &str) -> Vec<String> {
        self.wait(&format!("the line `{line}`"), |heard| {
            let lines: Vec<String> = heard.lines.get(&id)?.values().cloned().collect();
            lines.iter().any(|known| known == line).then_some(lines)
        })
        .await
    }

    pub(crate) fn numbers_are_without_gap(&self, id: InstanceId) {
        let mut containers: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (container, number) in self.heard.lock().unwrap().lines[&id].keys() {
            containers.entry(container.clone()).or_default().push(*number);
        }
        for (container, numbers) in containers {
            assert!(
                numbers.iter().copied().eq(1..=numbers.len() as u64),
                "{container}: {numbers:?}"
            );
        }
    }

    pub(crate) async fn kill_container(&self, id: InstanceId) {
        let filter = format!("label=platform.instance={id}");
        let containers = docker(&["ps", "-q", "--filter", &filter]);
        assert_eq!(containers.lines().count(), 1, "{containers}");
        docker(&["kill", containers.trim()]);
    }

    pub(crate) async fn services_of(&self, id: InstanceId) -> usize {
        docker(&[
            "service",
            "ls",
            "-q",
            "--filter",
            &format!("label=platform.instance={id}"),
        ])
        .lines()
        .count()
    }

    /// Waits until no service and no token is left.
    pub(crate) async fn nothing_is_left(&self) {
        self.wait("a clean Engine", |_| {
            let filter = format!("label=platform.installation={NAME}");
            let left = ["service", "secret"].map(|kind| docker(&[kind, "ls", "-q", "--filter", &filter]));
            left.iter().all(String::is_empty).then_some(())
        })
        .await;
    }

    pub(crate) async fn close(mut self) {
        self.kill_services().await;
        self.mongo.database().drop().await.unwrap();
        remove_leftovers().await;
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for process in &mut self.processes {
            process.kill().ok();
            process.wait().ok();
        }
    }
}

/// Removes what this or an earlier run left in the Engine.
pub(crate) async fn remove_leftovers() {
    let filter = format!("label=platform.installation={NAME}");
    for (list, remove) in [
        (["service", "ls"], ["service", "rm"]),
        (["secret", "ls"], ["secret", "rm"]),
        (["image", "ls"], ["image", "rm"]),
    ] {
        for _ in 0..30 {
            let ids = docker(&[list[0], list[1], "-q", "--filter", &filter]);
            let ids: std::collections::BTreeSet<&str> = ids.lines().collect();
            if ids.is_empty() {
                break;
            }
            for id in ids {
                let force: &[&str] = if list[0] == "image" { &["--force"] } else { &[] };
                docker(&[&remove[..], force, &[id]].concat());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Stands in the place of the readings gateway: says back what it hears.
async fn echo() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut heard = Vec::new();
            if stream.read_to_end(&mut heard).await.is_ok() {
                let answer = [b"echo ".as_slice(), &heard].concat();
                stream.write_all(&answer).await.ok();
            }
        }
    });
    port
}
