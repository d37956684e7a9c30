//! Health of services and hosts. See the library for what it does.

fn main() -> std::process::ExitCode {
    runtime::service::main(common::names::ServiceName::Monitor, monitor::run)
}
