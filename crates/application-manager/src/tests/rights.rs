//! Each route with each kind of person: the table of statuses is the contract.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::rig::{Ask, Rig};
use super::world::World;

/// Routes that answer without sign-in.
const OPEN: [(&str, &str); 2] = [("post", "/api/v1/session"), ("get", "/api/v1/session/first")];
/// Routes that a one-time password opens.
const ONE_TIME: [(&str, &str); 3] = [
    ("get", "/api/v1/session"),
    ("delete", "/api/v1/session"),
    ("post", "/api/v1/session/password"),
];

fn routes() -> Vec<(String, String)> {
    let description = serde_json::to_value(crate::api::description()).unwrap();
    let paths = description["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object()
                .unwrap()
                .keys()
                .map(|method| (method.clone(), path.clone()))
        })
        .collect()
}

/// Fills in the ids of the world.
fn address(world: &World, path: &str) -> String {
    let id = match path.split('/').nth(3).unwrap_or_default() {
        "locations" => world.lab.to_string(),
        "connectors" => world.connector.to_string(),
        "sensors" => world.sensor.to_string(),
        "devices" => world.device.to_string(),
        "schedules" => world.schedule.to_string(),
        "instances" => world.instance.to_string(),
        _ => uuid::Uuid::nil().to_string(),
    };
    let name = match path.split('/').nth(3).unwrap_or_default() {
        "users" => "eva",
        "applications" => "room-comfort",
        "types" => "fan",
        _ => "",
    };
    let mut address = path
        .replace("{id}", &id)
        .replace("{name}", name)
        .replace("{version}", "1.0.0");
    if path.ends_with("/match") {
        write!(address, "?location={}", world.lab).unwrap();
    }
    if path.ends_with("/events") {
        address.push_str("?topics=instances");
    }
    address
}

/// A body that is well formed, so that only the rights decide.
fn body(world: &World, method: &str, path: &str) -> Option<Value> {
    let thing =
        |kind: &str| json!({ "name": "New", "type": kind, "location": world.lab, "connector": world.connector });
    Some(match (method, path) {
        ("post", "/api/v1/session") => json!({ "name": "nobody", "password": "wrong password" }),
        ("post", "/api/v1/session/password") => json!({ "current": "x", "new": "short" }),
        ("post", "/api/v1/users") => json!({ "name": "new", "roles": [] }),
        ("patch", "/api/v1/users/{name}") => json!({ "title": "Eva" }),
        ("post", "/api/v1/tokens") => json!({ "name": "ci" }),
        ("patch", "/api/v1/applications/{name}") => json!({ "listed": { "to": "everyone" } }),
        ("post", "/api/v1/locations") => json!({ "name": "New", "kind": "room", "parent": world.building }),
        ("post", "/api/v1/types") => {
            json!({ "name": "lux", "title": "Light", "kind": "sensor", "properties": { "lux": {} } })
        }
        ("post", "/api/v1/connectors") => json!({ "name": "New", "location": world.lab }),
        ("post", "/api/v1/sensors") => thing("temperature"),
        ("post", "/api/v1/devices") => thing("fan"),
        ("patch", "/api/v1/locations/{id}" | "/api/v1/sensors/{id}" | "/api/v1/devices/{id}") => {
            json!({ "name": "Other" })
        }
        ("post", "/api/v1/devices/{id}/commands") => json!({ "command": "switch", "arguments": { "on": true } }),
        ("post", "/api/v1/schedules") => {
            json!({ "application": "room-comfort", "location": world.lab, "when": { "kind": "now" } })
        }
        ("post", "/api/v1/schedules/preview") => json!({ "when": { "kind": "now" } }),
        _ => return None,
    })
}

/// An installation that a request may use when no request before it can have changed anything.
#[derive(Default)]
struct Unchanged(Option<(Rig, World)>);

impl Unchanged {
    async fn status(&mut self, method: &str, path: &str, who: &str) -> (u16, String) {
        let (rig, world) = match self.0.take() {
            Some(unchanged) => unchanged,
            None => {
                let rig = Rig::new().await;
                let world = World::build(&rig).await;
                (rig, world)
            }
        };
        let address = address(&world, path);
        let ask = Ask {
            method: &method.to_uppercase(),
            path: &address,
            token: world.sessions.get(who).map(String::as_str),
            body: body(&world, method, path),
            headers: &[],
            peer: [127, 0, 0, 1],
        };
        let answer = rig.send(ask).await;
        let kind = answer.body["type"].as_str().unwrap_or_default().to_owned();
        if method == "get" || [401, 403].contains(&answer.status.as_u16()) {
            self.0 = Some((rig, world));
        }
        (answer.status.as_u16(), kind)
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_passes_without_sign_in_or_with_a_one_time_password() {
    let mut world = Unchanged::default();
    for (method, path) in routes() {
        let route = (method.as_str(), path.as_str());
        let (anonymous, _) = world.status(&method, &path, "nobody").await;
        if !OPEN.contains(&route) {
            assert_eq!(anonymous, 401, "{method} {path}");
        }
        let (one_time, kind) = world.status(&method, &path, "fritz").await;
        if !OPEN.contains(&route) && !ONE_TIME.contains(&route) {
            assert_eq!(
                (one_time, kind.as_str()),
                (403, "password-change-required"),
                "{method} {path}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_may_what() {
    let (mut rows, mut world) = (BTreeMap::new(), Unchanged::default());
    for (method, path) in routes() {
        let mut row = String::new();
        for who in ["ned", "dora", "eva", "olga", "sam", "admin"] {
            let (status, _) = world.status(&method, &path, who).await;
            write!(row, "{who} {status}  ").unwrap();
        }
        rows.insert(format!("{path} {}", method.to_uppercase()), row.trim_end().to_owned());
    }
    let table: Vec<String> = rows.iter().map(|(route, row)| format!("{route:<62} {row}")).collect();
    insta::assert_snapshot!(table.join("\n"));
}
