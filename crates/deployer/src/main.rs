//! The deployer, or with `--agent` the node agent of an application host. See the library for what they do.

use common::names::ServiceName;

fn main() -> std::process::ExitCode {
    if std::env::args().any(|argument| argument == "--agent") {
        runtime::service::main(ServiceName::Agent, deployer::run_agent)
    } else {
        runtime::service::main(ServiceName::Deployer, deployer::run)
    }
}
