//! The picture of the architecture: services are columns, topics are lanes, a mark says what one does with the other.

use std::fmt::Write as _;

use super::topics::from_all;
use crate::Topic;
use crate::names::ServiceName::{
    self, ActionManager, Agent, ApplicationManager, Deployer, Monitor, Scheduler, SensorManager,
};
use crate::topic::Retention;

/// Columns from left to right: neighbours share what is above them.
const COLUMNS: [ServiceName; 7] = [
    ApplicationManager,
    Scheduler,
    Deployer,
    Agent,
    SensorManager,
    ActionManager,
    Monitor,
];

const WIDTH: u32 = 900;
const FIRST_COLUMN: u32 = 206;
const COLUMN: u32 = 98;
const BOX: u32 = 86;

const OUTSIDE_TOP: u32 = 64;
const OUTSIDE_HEIGHT: u32 = 58;
const SERVICE_TOP: u32 = 172;
const SERVICE_HEIGHT: u32 = 62;
const BUS_TOP: u32 = 262;
const LANE: u32 = 23;
const GAP: u32 = 9;

const STYLE: &str = "
  svg { --ground: #ffffff; --panel: #f4f6f9; --line: #d5dbe4; --ink: #1b2430; --soft: #5c6878; --box: #ffffff;
    --c0: #2f6fde; --c1: #b7791f; --c2: #7a4fd0; --c3: #a63fa0; --c4: #12876f; --c5: #cf4a3a; --c6: #5b6b7f;
    font-family: system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif; }
  @media (prefers-color-scheme: dark) {
    svg { --ground: #12161d; --panel: #1a202a; --line: #343d4b; --ink: #e7ecf3; --soft: #9aa6b6; --box: #222a36;
      --c0: #6fa3ff; --c1: #e0ab4f; --c2: #b294ff; --c3: #e58be0; --c4: #4ecbae; --c5: #ff8a7a; --c6: #a3b1c4; }
  }
  .ground { fill: var(--ground); }
  .panel { fill: var(--panel); stroke: var(--line); }
  .outside { fill: none; stroke: var(--soft); stroke-dasharray: 3 3; }
  .service { fill: var(--box); stroke: currentColor; stroke-width: 1.5; }
  .life { stroke: var(--line); }
  .lane { stroke: currentColor; stroke-width: 1.5; }
  .link { fill: none; stroke: var(--soft); stroke-width: 1.25; }
  .way { fill: none; stroke: var(--soft); stroke-width: 1.25; stroke-dasharray: 2 3; }
  .mark { fill: currentColor; }
  .ring { fill: var(--panel); stroke: currentColor; stroke-width: 2; }
  .halo { fill: var(--panel); }
  text { fill: var(--ink); font-size: 12px; }
  .title { font-size: 17px; font-weight: 600; }
  .name { font-size: 12.5px; font-weight: 600; }
  .soft { fill: var(--soft); font-size: 11px; }
  .topic { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, 'Liberation Mono', monospace; font-size: 11.5px; }
  .middle { text-anchor: middle; }
  .end { text-anchor: end; }
";

fn x(name: ServiceName) -> u32 {
    let column = COLUMNS.iter().position(|column| *column == name).unwrap();
    FIRST_COLUMN + COLUMN * u32::try_from(column).unwrap() + COLUMN / 2 - 4
}

/// Returns the class that colours what belongs to a service.
fn colour(name: ServiceName) -> String {
    let column = COLUMNS.iter().position(|column| *column == name).unwrap();
    format!("color:var(--c{column})")
}

fn says(name: ServiceName) -> [&'static str; 2] {
    match name {
        ApplicationManager => ["catalogue,", "API, console"],
        Scheduler => ["when a run", "is due"],
        Deployer => ["images,", "instances"],
        Agent => ["one on each", "host"],
        SensorManager => ["readings,", "bindings"],
        ActionManager => ["commands,", "notifications"],
        Monitor => ["who is up,", "who is down"],
    }
}

/// Topics by who writes them first, so that lanes of one colour lie together.
fn lanes() -> Vec<(ServiceName, Topic)> {
    let mut lanes = Vec::new();
    for name in COLUMNS {
        let own = |topic: &Topic| !from_all(*topic) && topic.facts().producers.first() == Some(&name);
        lanes.extend(Topic::ALL.into_iter().filter(own).map(|topic| (name, topic)));
    }
    lanes.extend(
        Topic::ALL
            .into_iter()
            .filter(|topic| from_all(*topic))
            .map(|topic| (Monitor, topic)),
    );
    lanes
}

/// Returns the picture.
pub(super) fn svg() -> String {
    let (bus, bottom) = bus();
    let height = bottom + 62;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" aria-labelledby=\"title description\">\n<title id=\"title\">Six services and an agent that talk through Kafka</title>\n<desc id=\"description\">Each service is a column, each topic a lane; a triangle marks who writes a topic, a disc who does owned work with it, a ring who follows it. docs/topics.md has the same as a table.</desc>\n<style>{STYLE}</style>\n<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto-start-reverse\"><path d=\"M0 0 8 4 0 8Z\" style=\"fill:var(--soft)\"/></marker></defs>\n<rect class=\"ground\" width=\"{WIDTH}\" height=\"{height}\" rx=\"12\"/>\n<text class=\"title\" x=\"24\" y=\"38\">Services talk only through Kafka</text>\n"
    );
    for (name, y) in [("Outside", OUTSIDE_TOP + 34), ("Services", SERVICE_TOP + 36)] {
        writeln!(svg, "<text class=\"name\" x=\"28\" y=\"{y}\">{name}</text>").unwrap();
    }
    svg.push_str(&outside());
    svg.push_str(&bus);
    svg.push_str(&services());
    svg.push_str(&legend(bottom + 26));
    svg.push_str("</svg>\n");
    svg
}

/// What is around the platform, and how it is spoken to.
fn outside() -> String {
    let mut text = String::new();
    let bottom = OUTSIDE_TOP + OUTSIDE_HEIGHT;
    let mut actor = |from: ServiceName, to: ServiceName, name: &str, what: &str, how: &str| {
        let (left, right) = (x(from) - BOX / 2, x(to) + BOX / 2);
        let (middle, width) = (u32::midpoint(left, right), right - left);
        writeln!(
            text,
            "<rect class=\"outside\" x=\"{left}\" y=\"{OUTSIDE_TOP}\" width=\"{width}\" height=\"{OUTSIDE_HEIGHT}\" rx=\"10\"/><text class=\"middle name\" x=\"{middle}\" y=\"{}\">{name}</text><text class=\"middle soft\" x=\"{middle}\" y=\"{}\">{what}</text><text class=\"middle soft\" x=\"{middle}\" y=\"{}\">{how}</text>",
            OUTSIDE_TOP + 20,
            OUTSIDE_TOP + 35,
            OUTSIDE_TOP + 49
        )
        .unwrap();
    };
    actor(ApplicationManager, ApplicationManager, "Browsers", "console", "HTTP");
    actor(
        Deployer,
        Agent,
        "Applications",
        "containers of a Docker swarm",
        "WebSocket, HTTP",
    );
    actor(SensorManager, SensorManager, "Sensors", "and devices", "MQTT, HTTP");
    actor(ActionManager, ActionManager, "People", "notifications", "mail, web");
    let both = "marker-start=\"url(#tip)\" marker-end=\"url(#tip)\"";
    let forth = "marker-end=\"url(#tip)\"";
    for (name, from, to, ends) in [
        (ApplicationManager, bottom, SERVICE_TOP, both),
        (Deployer, SERVICE_TOP, bottom, forth),
        (Agent, bottom, SERVICE_TOP, both),
        (SensorManager, bottom, SERVICE_TOP, both),
        (ActionManager, SERVICE_TOP, bottom, forth),
    ] {
        let (x, from, to) = (x(name), shifted(from, to), shifted(to, from));
        writeln!(text, "<path class=\"link\" d=\"M{x} {from}V{to}\" {ends}/>").unwrap();
    }
    // The agent hands an application's streams and actions on, byte by byte.
    let (from, under) = (x(Agent) + 24, SERVICE_TOP - 14);
    for name in [SensorManager, ActionManager] {
        let to = x(name) - 24;
        writeln!(
            text,
            "<path class=\"way\" d=\"M{from} {}V{}q0 -6 6 -6H{}q6 0 6 6V{}\" {forth}/>",
            SERVICE_TOP - 2,
            under + 2,
            to - 6,
            SERVICE_TOP - 3
        )
        .unwrap();
    }
    text
}

/// Keeps a line a little away from the box where it begins or ends.
fn shifted(at: u32, other: u32) -> u32 {
    if at < other { at + 3 } else { at - 3 }
}

fn services() -> String {
    let mut text = String::new();
    for name in COLUMNS {
        let (x, colour) = (x(name), colour(name));
        let (title, [first, second]) = (name.as_str(), says(name));
        let (left, head) = (x - BOX / 2, title.split_once('-'));
        writeln!(
            text,
            "<g style=\"{colour}\"><rect class=\"service\" x=\"{left}\" y=\"{SERVICE_TOP}\" width=\"{BOX}\" height=\"{SERVICE_HEIGHT}\" rx=\"8\"/>"
        )
        .unwrap();
        let mut y = SERVICE_TOP + if head.is_some() { 16 } else { 23 };
        let lines = head.map_or(vec![title], |(first, second)| vec![first, second]);
        for line in lines {
            writeln!(text, "<text class=\"middle name\" x=\"{x}\" y=\"{y}\">{line}</text>").unwrap();
            y += 13;
        }
        for line in [first, second] {
            writeln!(
                text,
                "<text class=\"middle soft\" x=\"{x}\" y=\"{y}\" style=\"font-size:10px\">{line}</text>"
            )
            .unwrap();
            y += 12;
        }
        text.push_str("</g>\n");
    }
    text
}

/// Kafka with its lanes; returns also where it ends.
fn bus() -> (String, u32) {
    let lanes = lanes();
    let mut y = BUS_TOP + 50;
    let mut rows = String::new();
    let mut before = None;
    for (name, topic) in lanes {
        if before.is_some_and(|before| before != name) || from_all(topic) {
            y += GAP;
        }
        before = Some(name);
        rows.push_str(&lane(name, topic, y));
        y += LANE;
    }
    let bottom = y;
    let mut text = format!(
        "<rect class=\"panel\" x=\"14\" y=\"{BUS_TOP}\" width=\"{}\" height=\"{}\" rx=\"10\"/>\n",
        WIDTH - 28,
        bottom - BUS_TOP
    );
    for name in COLUMNS {
        let x = x(name);
        writeln!(
            text,
            "<path class=\"life\" d=\"M{x} {}V{}\"/>",
            SERVICE_TOP + SERVICE_HEIGHT,
            bottom - 8
        )
        .unwrap();
    }
    writeln!(
        text,
        "<text class=\"name\" x=\"28\" y=\"{0}\">Kafka</text><text class=\"soft end\" x=\"202\" y=\"{0}\">kept</text>",
        BUS_TOP + 24
    )
    .unwrap();
    text.push_str(&rows);
    (text, bottom)
}

fn lane(owner: ServiceName, topic: Topic, y: u32) -> String {
    let facts = topic.facts();
    let mut marks = String::new();
    let (mut first, mut last) = (WIDTH, 0);
    for name in COLUMNS {
        let here = x(name);
        let (writes, works, follows) = (
            facts.producers.contains(&name),
            facts.groups.contains(&name),
            facts.tails.contains(&name),
        );
        let kinds: Vec<char> = [(writes, 'w'), (works, 'g'), (follows, 't')]
            .into_iter()
            .filter_map(|(is, kind)| is.then_some(kind))
            .collect();
        let count = u32::try_from(kinds.len()).unwrap();
        for (index, kind) in kinds.into_iter().enumerate() {
            let at = here + 15 * u32::try_from(index).unwrap() - 15 * (count - 1) / 2;
            (first, last) = (first.min(at), last.max(at));
            marks.push_str(&mark(kind, at, y));
        }
    }
    let kept = match facts.retention {
        Retention::Compacted => "newest".to_owned(),
        Retention::Hours(hours) if hours % 24 == 0 && hours > 48 => format!("{} d", hours / 24),
        Retention::Hours(hours) => format!("{hours} h"),
    };
    let colour = colour(owner);
    format!(
        "<text class=\"topic\" x=\"28\" y=\"{}\">{}</text><text class=\"soft end\" x=\"202\" y=\"{}\">{kept}</text><g style=\"{colour}\"><path class=\"lane\" d=\"M{first} {y}H{last}\"/>{marks}</g>\n",
        y + 4,
        facts.name,
        y + 4
    )
}

fn mark(kind: char, x: u32, y: u32) -> String {
    match kind {
        'w' => format!("<path class=\"mark\" d=\"M{} {}h12l-6 10z\"/>", x - 6, y - 5),
        'g' => format!("<circle class=\"mark\" cx=\"{x}\" cy=\"{y}\" r=\"5\"/>"),
        _ => format!("<circle class=\"ring\" cx=\"{x}\" cy=\"{y}\" r=\"4\"/>"),
    }
}

fn legend(y: u32) -> String {
    let mut text = String::from("<g style=\"color:var(--soft)\">\n");
    for (kind, at, y, meaning) in [
        ('w', 34, y, "writes the topic"),
        ('g', 172, y, "owned work: one consumer group, each message once"),
        (
            't',
            172,
            y + 20,
            "follows: every process, for the connections that it holds",
        ),
    ] {
        text.push_str(&mark(kind, at, y));
        writeln!(
            text,
            "<text class=\"soft\" x=\"{}\" y=\"{}\">{meaning}</text>",
            at + 12,
            y + 4
        )
        .unwrap();
    }
    writeln!(
        text,
        "<path class=\"way\" d=\"M584 {0}h22\" marker-end=\"url(#tip)\"/><text class=\"soft\" x=\"614\" y=\"{1}\">hands on what applications say and hear</text><text class=\"soft\" x=\"584\" y=\"{2}\">newest: the newest of each key, for ever</text>",
        y,
        y + 4,
        y + 24
    )
    .unwrap();
    text.push_str("</g>\n");
    text
}
