//! Notifications and device commands. See the library for what it does.

fn main() -> std::process::ExitCode {
    runtime::service::main(common::names::ServiceName::ActionManager, action_manager::run)
}
