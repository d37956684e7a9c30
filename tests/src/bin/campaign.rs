//! Repetitions and comparisons: `cargo run --release -p platform-tests --bin campaign -- NAME --rounds N`.

use std::process::ExitCode;

use clap::Parser;
use platform_tests::campaigns;

/// Repeats a scenario or measures beside a peer, and writes the result to `tests/results/`.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to run: `exactness`, `faults`, `hosts`, `latency` or `operations`.
    name: String,
    /// How often.
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// Of `faults` and `operations`, only those with this text in their name; the result is shown, not kept.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    platform_tests::show_warnings();
    let outcome = tokio::runtime::Runtime::new()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            let only = arguments.only.as_deref();
            runtime.block_on(campaigns::run(&arguments.name, arguments.rounds, only))
        });
    match outcome {
        Ok(result) => {
            platform_tests::say(&result);
            ExitCode::SUCCESS
        }
        Err(error) => {
            platform_tests::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
