//! End-to-end scenarios against real Kafka, MongoDB protocol, Docker and MQTT, and the campaigns that repeat them.
//!
//! [`stack::Stack`] brings up an installation of its own through `bootstrap`'s library, [`client::Client`] speaks the REST
//! API as any program would, [`site`] registers places, sensors and devices and simulates them, [`scenarios`] are what is
//! shown, [`ledger`] compares what was acknowledged to senders with what an application remembers.

pub mod admin;
pub mod campaigns;
pub mod client;
pub mod distribution;
pub mod faults;
pub mod ledger;
pub mod receivers;
pub mod rig;
pub mod scenarios;
pub mod site;
pub mod stack;
pub mod wait;

/// Tells whoever watches a run.
#[expect(clippy::print_stdout, reason = "the output of a test run is for people")]
pub fn say(text: &str) {
    println!("{text}");
}

/// Tells whoever watches a run what went wrong.
#[expect(clippy::print_stderr, reason = "the output of a test run is for people")]
pub fn complain(text: &str) {
    eprintln!("{text}");
}

/// Shows what the simulator and other libraries in this process warn of, where `RUST_LOG` asks for it.
pub fn show_warnings() {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}
