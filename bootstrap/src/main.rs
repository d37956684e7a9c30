//! The admin's command. See the library.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    bootstrap::cli::run().await
}
