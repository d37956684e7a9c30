//! What the demo consists of. Pure.

use serde_json::{Value, json};

/// The building with everything in it.
pub(super) const BUILDING: &str = "Demo building";
/// The place that keeps itself comfortable.
pub(super) const LABORATORY: &str = "Laboratory";

/// The file that is replayed on the roof.
pub(super) const WEATHER: &str = "seattle-weather-hourly-normals.csv";

/// A room, or the roof.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    /// Name of the connector that carries what is here.
    pub(super) connector: String,
    /// How that connector talks: `mqtt` or `http`.
    pub(super) protocol: &'static str,
    pub(super) sensors: Vec<Sensor>,
    /// Name and type.
    pub(super) devices: Vec<(String, &'static str)>,
}

/// A sensor with what plays it.
#[derive(Debug, Clone)]
pub(super) struct Sensor {
    pub(super) name: String,
    pub(super) type_name: &'static str,
    pub(super) property: &'static str,
    /// The simulator's generator.
    pub(super) generator: Value,
    /// Milliseconds between readings; a replay keeps the pace of its file.
    pub(super) every_ms: Option<u64>,
}

/// The types.
pub(super) fn types() -> Vec<Value> {
    let sensor = |name: &str, title: &str, unit: &str, minimum: f64, maximum: f64| {
        json!({ "name": name, "title": title, "kind": "sensor", "expected_interval_seconds": 60,
                "properties": { name: { "title": title, "unit": unit, "minimum": minimum, "maximum": maximum } } })
    };
    let on = json!({ "type": "boolean", "title": "On" });
    vec![
        sensor("temperature", "Temperature", "Cel", -50.0, 100.0),
        sensor("humidity", "Relative humidity", "%RH", 0.0, 100.0),
        sensor("motion", "Movement in the last minute", "%", 0.0, 100.0),
        sensor("air-pressure", "Air pressure", "hPa", 800.0, 1100.0),
        sensor("wind-speed", "Wind speed", "m/s", 0.0, 100.0),
        json!({ "name": "fan", "title": "Fan", "kind": "device",
                "commands": { "switch": { "title": "Switch", "arguments": { "on": on } } } }),
        json!({ "name": "lamp", "title": "Lamp", "kind": "device",
                "commands": {
                    "switch": { "title": "Switch", "arguments": { "on": on } },
                    "dim": { "title": "Dim", "arguments": { "brightness":
                        { "type": "integer", "title": "Brightness", "minimum": 0, "maximum": 100, "unit": "%" } } } } }),
    ]
}

/// Three rooms and the roof.
pub(super) fn places() -> Vec<Place> {
    vec![
        room(LABORATORY, "mqtt", 22.3, 600.0, &["north", "south"]),
        room("Meeting room", "mqtt", 21.4, 240.0, &["window"]),
        room("Workshop", "http", 19.2, 300.0, &["bench"]),
        roof(),
    ]
}

fn room(name: &'static str, protocol: &'static str, mean: f64, period: f64, thermometers: &[&str]) -> Place {
    let walk = |start: f64, step: f64, minimum: f64, maximum: f64| json!({ "kind": "random_walk", "start": start, "step": step, "minimum": minimum, "maximum": maximum });
    let warm = json!({ "kind": "sine", "mean": mean, "amplitude": 2.4, "period_seconds": period, "noise": 0.1 });
    let sensor = |what: String, type_name: &'static str, generator: Value, every_ms: u64| Sensor {
        name: format!("{name} {what}"),
        type_name,
        property: type_name,
        generator,
        every_ms: Some(every_ms),
    };
    let mut sensors: Vec<Sensor> = thermometers
        .iter()
        .map(|side| sensor(format!("thermometer {side}"), "temperature", warm.clone(), 1000))
        .collect();
    sensors.push(sensor(
        "hygrometer".to_owned(),
        "humidity",
        walk(45.0, 0.6, 30.0, 65.0),
        5000,
    ));
    sensors.push(sensor(
        "motion sensor".to_owned(),
        "motion",
        walk(20.0, 12.0, 0.0, 100.0),
        5000,
    ));
    Place {
        name,
        kind: "room",
        connector: format!("{name} gateway"),
        protocol,
        sensors,
        devices: vec![(format!("{name} fan"), "fan"), (format!("{name} lamp"), "lamp")],
    }
}

fn roof() -> Place {
    let sensor = |name: &str, type_name: &'static str, property: &'static str, column: &str| Sensor {
        name: name.to_owned(),
        type_name,
        property,
        generator: json!({ "kind": "csv", "path": WEATHER, "column": column, "time_column": "date", "speed": 3600.0, "repeat": true }),
        every_ms: None,
    };
    Place {
        name: "Roof",
        kind: "outdoors",
        connector: "Weather station".to_owned(),
        protocol: "mqtt",
        sensors: vec![
            sensor("Outdoor thermometer", "temperature", "temperature", "temperature"),
            sensor("Barometer", "air-pressure", "air-pressure", "pressure"),
            sensor("Anemometer", "wind-speed", "wind-speed", "wind"),
        ],
        devices: Vec::new(),
    }
}

/// A sample application, and the schedule that runs it.
#[derive(Debug, Clone)]
pub(super) struct Run {
    /// Folder below `sdk/examples`, and name of the application.
    pub(super) example: &'static str,
    /// Name of the schedule.
    pub(super) name: &'static str,
    /// Name of the place.
    pub(super) place: &'static str,
    pub(super) parameters: Value,
    pub(super) when: Value,
}

/// One application runs now, one comes again and again.
pub(super) fn runs() -> [Run; 2] {
    [
        Run {
            example: "room-comfort",
            name: "Comfort in the laboratory",
            place: LABORATORY,
            parameters: json!({ "target": 22, "hysteresis": 0.5, "threshold": 24.4 }),
            when: json!({ "kind": "now" }),
        },
        Run {
            example: "daily-report",
            name: "Report of the building, every ten minutes",
            place: BUILDING,
            parameters: json!({ "hours": 1 }),
            when: json!({ "kind": "cron", "expression": "*/10 * * * *", "zone": "Etc/UTC" }),
        },
    ]
}
