//! The node agent.

mod cursor;
mod forward;
mod images;
mod logs;
mod report;

use anyhow::Context as _;
use runtime::Context;

use self::forward::Gateways;
use crate::docker::Engine;
use crate::registry::Registry;

/// Starts its parts.
///
/// # Errors
/// When the authority of the hosts or the password of the registry cannot be read.
pub(crate) fn run(context: &Context) -> anyhow::Result<()> {
    let settings = &context.settings;
    let engine = Engine::new(&settings.engine.socket, &settings.name, settings.internal_address);
    let registry = Registry::from_settings(settings)?;
    let engine = engine.signed_in(registry.credentials());
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
            forward::serve((gateway, port).into(), Gateways::new(targets, tls.clone()), part),
        );
    }
    if !settings.gateways.registry.is_empty() {
        let address = settings
            .engine
            .registry
            .parse()
            .context("the address of the registry")?;
        let part = context.health.part("forwarding to the registry");
        let gateways = Gateways::new(settings.gateways.registry.clone(), tls);
        let forwarding = forward::serve(address, gateways, part);
        context.spawn_until_shutdown("forwarding to the registry", forwarding);
    }
    images::keep(context, engine.clone());
    context.spawn_until_shutdown("logs", logs::Collector::new(context, engine.clone()).run());
    context.spawn_until_shutdown("reports", report::report(context.clone(), engine));
    Ok(())
}
