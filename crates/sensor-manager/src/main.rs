//! The sensor manager's program.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
