//! Schedules to occurrences. See the library for what it does.

fn main() -> std::process::ExitCode {
    runtime::service::main(common::names::ServiceName::Scheduler, scheduler::run)
}
