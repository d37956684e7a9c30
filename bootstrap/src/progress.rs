//! What an admin sees while steps run.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde_json::json;

/// Told what happens.
pub trait Reporter: Send + Sync {
    /// A step begins to change something.
    fn begins(&self, number: usize, of: usize, name: &str);
    /// A step is over: what it did and how long that took.
    fn ends(&self, number: usize, of: usize, name: &str, did: &str, took: Duration);
    /// Something to know.
    fn says(&self, text: &str);
}

/// What happens, a JSON object a line, for programs.
#[derive(Debug, Clone, Copy)]
pub struct Json;

impl Json {
    /// Writes an event with when it was.
    pub(crate) fn write(mut event: serde_json::Value) {
        event["time"] = Timestamp::now().to_string().into();
        line(&event.to_string());
    }
}

impl Reporter for Json {
    fn begins(&self, number: usize, of: usize, name: &str) {
        Self::write(json!({ "event": "begins", "step": name, "number": number, "of": of }));
    }

    fn ends(&self, number: usize, of: usize, name: &str, did: &str, took: Duration) {
        Self::write(
            json!({ "event": "ends", "step": name, "number": number, "of": of, "did": did, "seconds": took.as_secs_f64() }),
        );
    }

    fn says(&self, text: &str) {
        Self::write(json!({ "event": "says", "text": text.trim() }));
    }
}

/// The right reporter for where the output goes.
#[must_use]
pub fn reporter() -> Box<dyn Reporter> {
    if std::io::stdout().is_terminal() {
        Box::new(Terminal::default())
    } else {
        Box::new(Plain)
    }
}

/// Seconds as people read them.
#[must_use]
pub fn seconds(took: Duration) -> String {
    let seconds = took.as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{} min {:02} s", took.as_secs() / 60, took.as_secs() % 60)
    }
}

/// Writes a line; a closed output is no reason to stop an installation.
fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        // Nobody reads.
    }
}

/// Lines with times, for logs.
#[derive(Debug, Clone, Copy)]
pub struct Plain;

impl Plain {
    fn stamped(text: &str) {
        line(&format!("{} {text}", Timestamp::now().strftime("%H:%M:%S")));
    }
}

impl Reporter for Plain {
    fn begins(&self, number: usize, of: usize, name: &str) {
        Self::stamped(&format!("[{number}/{of}] {name} …"));
    }

    fn ends(&self, number: usize, of: usize, name: &str, did: &str, took: Duration) {
        Self::stamped(&format!("[{number}/{of}] {name}: {did} ({})", seconds(took)));
    }

    fn says(&self, text: &str) {
        Self::stamped(text);
    }
}

/// A line that moves, for people who watch.
#[derive(Debug, Default)]
struct Terminal {
    bar: Mutex<Option<ProgressBar>>,
}

impl Terminal {
    fn replace(&self, with: Option<ProgressBar>) {
        if let Ok(mut bar) = self.bar.lock() {
            if let Some(old) = bar.take() {
                old.finish_and_clear();
            }
            *bar = with;
        }
    }
}

impl Reporter for Terminal {
    fn begins(&self, number: usize, of: usize, name: &str) {
        let bar = ProgressBar::new_spinner().with_message(format!("[{number}/{of}] {name}"));
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        self.replace(Some(bar));
    }

    fn ends(&self, number: usize, of: usize, name: &str, did: &str, took: Duration) {
        self.replace(None);
        line(&format!("✓ [{number}/{of}] {name}: {did} ({})", seconds(took)));
    }

    fn says(&self, text: &str) {
        self.replace(None);
        line(text);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.replace(None);
    }
}

/// Says nothing; for callers that show progress themselves.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Reporter for Silent {
    fn begins(&self, _number: usize, _of: usize, _name: &str) {}
    fn ends(&self, _number: usize, _of: usize, _name: &str, _did: &str, _took: Duration) {}
    fn says(&self, _text: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_for_people() {
        assert_eq!(seconds(Duration::from_millis(1234)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 05 s");
    }
}
