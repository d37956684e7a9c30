//! The sensor manager's program.

fn main() -> std::process::ExitCode {
    runtime::service::main(common::names::ServiceName::SensorManager, sensor_manager::run)
}
