//! `application-manager --settings FILE`

fn main() -> std::process::ExitCode {
    runtime::service::main(common::names::ServiceName::ApplicationManager, application_manager::run)
}
