//! The node agent.

mod cursor;
mod forward;
mod logs;
mod report;

use runtime::Context;

use self::forward::Gateways;
use crate::docker::Engine;

/// Starts its parts.
///
/// # Errors
/// When the authority of the hosts cannot be read.
pub(crate) fn run(context: &Context) -> anyhow::Result<()> {
    let settings = &context.settings;
    let engine = Engine::new(&settings.engine.socket, &settings.name, settings.internal_address);
    let tls = runtime::tls::connector(settings.gateways.tls.as_ref())?;
    let (gateway, ports) = (settings.engine.gateway, &settings.ports);
    for (name, port, gateways, own) in [
        (
            "readings",
            ports.agent_readings,
            &settings.gateways.readings,
            ports.readings,
        ),
        (
            "actions",
            ports.agent_actions,
            &settings.gateways.actions,
            ports.actions,
        ),
    ] {
        let targets = if gateways.is_empty() {
            vec![(settings.internal_address, own).into()]
        } else {
            gateways.clone()
        };
        let part = context.health.part(&format!("forwarding of {name}"));
        context.spawn_until_shutdown(
            &format!("forwarding of {name}"),
            forward::serve(
                (gateway, port).into(),
                Gateways {
                    targets,
                    tls: tls.clone(),
                },
                part,
            ),
        );
    }
    context.spawn_until_shutdown("logs", logs::Collector::new(context, engine.clone()).run());
    context.spawn_until_shutdown("reports", report::report(context.clone(), engine));
    Ok(())
}
