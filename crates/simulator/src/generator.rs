//! Values and the pauses between them. Pure: the same configuration, seed and sensor give the same sequence.

use std::f64::consts::TAU;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::config::{GeneratorConfig, SensorConfig};
use crate::replay::Replay;

/// One value and how long to wait before the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// The value, rounded to three decimals.
    pub value: f64,
    /// The pause after it.
    pub pause: Duration,
}

/// An endless or finite source of samples.
#[derive(Debug)]
pub struct Generator {
    source: Source,
    pause: Duration,
    random: StdRng,
}

#[derive(Debug)]
enum Source {
    RandomWalk {
        value: f64,
        step: f64,
        minimum: f64,
        maximum: f64,
    },
    Sine {
        index: u64,
        mean: f64,
        amplitude: f64,
        period_seconds: f64,
        noise: f64,
    },
    Replay {
        index: usize,
        rows: Arc<Replay>,
        speed: f64,
        repeat: bool,
        paced: bool,
    },
}

impl Generator {
    /// Prepares the source of a sensor; reads the CSV file of a replay.
    ///
    /// # Errors
    /// When the CSV file cannot be used.
    pub fn open(sensor: &SensorConfig, seed: u64) -> anyhow::Result<Self> {
        let source = match &sensor.generator {
            GeneratorConfig::RandomWalk {
                start,
                step,
                minimum,
                maximum,
            } => Source::RandomWalk {
                value: *start,
                step: *step,
                minimum: *minimum,
                maximum: *maximum,
            },
            GeneratorConfig::Sine {
                mean,
                amplitude,
                period_seconds,
                noise,
            } => Source::Sine {
                index: 0,
                mean: *mean,
                amplitude: *amplitude,
                period_seconds: *period_seconds,
                noise: *noise,
            },
            GeneratorConfig::Csv {
                path,
                column,
                time_column,
                speed,
                repeat,
            } => {
                let text =
                    std::fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
                let rows = Replay::parse(&text, column, time_column.as_deref())
                    .with_context(|| format!("{} cannot be replayed", path.display()))?;
                let paced = time_column.is_some();
                Source::Replay {
                    index: 0,
                    rows: Arc::new(rows),
                    speed: *speed,
                    repeat: *repeat,
                    paced,
                }
            }
        };
        let pause = Duration::from_millis(sensor.every_ms.unwrap_or(1000));
        let (high, low) = sensor.id.uuid().as_u64_pair();
        Ok(Self {
            source,
            pause,
            random: StdRng::seed_from_u64(seed ^ high.rotate_left(32) ^ low),
        })
    }

    /// Returns the next sample, or nothing after the last row of a replay.
    pub fn next_sample(&mut self) -> Option<Sample> {
        let every = self.pause;
        let (value, pause) = match &mut self.source {
            Source::RandomWalk {
                value,
                step,
                minimum,
                maximum,
            } => {
                let current = *value;
                *value = (current + self.random.random_range(-*step..=*step)).clamp(*minimum, *maximum);
                (current, every)
            }
            Source::Sine {
                index,
                mean,
                amplitude,
                period_seconds,
                noise,
            } => {
                #[expect(clippy::cast_precision_loss, reason = "a count of readings stays far below 2^52")]
                let turns = *index as f64 * every.as_secs_f64() / *period_seconds;
                *index += 1;
                (
                    *mean + *amplitude * (turns * TAU).sin() + self.random.random_range(-*noise..=*noise),
                    every,
                )
            }
            Source::Replay {
                index,
                rows,
                speed,
                repeat,
                paced,
            } => {
                if *index == rows.len() && *repeat {
                    *index = 0;
                }
                let row = rows.row(*index)?;
                *index += 1;
                (row.value, if *paced { row.gap.div_f64(*speed) } else { every })
            }
        };
        Some(Sample {
            value: (value * 1000.0).round() / 1000.0,
            pause,
        })
    }

    /// Returns a part of the pause, so that sensors of one rate do not all send in the same moment.
    pub fn offset(&mut self) -> Duration {
        self.pause
            .min(Duration::from_secs(1))
            .mul_f64(self.random.random_range(0.0..1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sensor(generator: GeneratorConfig) -> SensorConfig {
        SensorConfig {
            id: "00000000-0000-0000-0000-000000000001".parse().unwrap(),
            property: "t".into(),
            generator,
            every_ms: Some(250),
        }
    }

    fn values(sensor: &SensorConfig, seed: u64) -> Vec<f64> {
        let mut generator = Generator::open(sensor, seed).unwrap();
        (0..200)
            .map_while(|_| generator.next_sample())
            .map(|sample| sample.value)
            .collect()
    }

    #[test]
    fn a_walk_repeats_for_its_seed_and_stays_inside() {
        let walk = sensor(GeneratorConfig::RandomWalk {
            start: 20.0,
            step: 2.0,
            minimum: 18.0,
            maximum: 23.0,
        });
        let first = values(&walk, 7);
        assert_eq!(first, values(&walk, 7));
        assert_ne!(first, values(&walk, 8));
        assert!(first.iter().all(|value| (18.0..=23.0).contains(value)));
        assert!(first.windows(2).all(|pair| (pair[0] - pair[1]).abs() <= 2.001));
    }

    #[test]
    fn a_sine_reaches_its_extremes() {
        let sine = sensor(GeneratorConfig::Sine {
            mean: 10.0,
            amplitude: 5.0,
            period_seconds: 1.0,
            noise: 0.0,
        });
        assert_eq!(values(&sine, 0)[..5], [10.0, 15.0, 10.0, 5.0, 10.0]);
    }

    #[test]
    fn a_replay_keeps_the_distances_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weather.csv");
        std::fs::write(
            &path,
            "date,t\n2010-01-01T01:00:00,4.0\n2010-01-01T02:00:00,3.9\n2010-01-01T02:30:00,3.5\n",
        )
        .unwrap();
        let replay = |repeat| {
            let sensor = sensor(GeneratorConfig::Csv {
                path: path.clone(),
                column: "t".into(),
                time_column: Some("date".into()),
                speed: 3600.0,
                repeat,
            });
            let mut generator = Generator::open(&sensor, 0).unwrap();
            (0..4).map_while(move |_| generator.next_sample()).collect::<Vec<_>>()
        };
        let once = replay(false);
        assert_eq!(
            once.iter().map(|sample| sample.value).collect::<Vec<_>>(),
            [4.0, 3.9, 3.5]
        );
        assert_eq!(once[0].pause, Duration::from_secs(1));
        assert_eq!(once[1].pause, Duration::from_millis(500));
        assert_eq!(replay(true)[3].value.to_bits(), 4.0_f64.to_bits());
    }
}
