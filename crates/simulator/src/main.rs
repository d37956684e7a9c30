//! `simulator`: runs the sensors and devices of a configuration file until it is told to stop.

use clap::Parser;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    simulator::command::run(simulator::command::Arguments::parse()).await
}
