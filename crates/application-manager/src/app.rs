//! What every request has at hand.

use std::sync::Arc;

use common::ConnectorId;
use common::settings::Ports;
use runtime::Bus;

use crate::access::Accounts;
use crate::archive::Archive;
use crate::bundle::Intake;
use crate::catalogue::Catalogue;
use crate::hub::Hub;
use crate::live::LiveValues;
use crate::logs::Logs;
use crate::operations::Operations;
use crate::pages::PageKeys;
use crate::view::ReadModel;

/// The application manager, as its routes see it.
pub(crate) struct App {
    /// Ports of the installation, for snippets and addresses.
    pub(crate) ports: Ports,
    /// Address that people and sensors use to reach this host.
    pub(crate) public_address: String,
    /// Addresses of the hosts that sensors and devices connect to; empty: this one.
    pub(crate) device_addresses: Vec<String>,
    /// Publishes.
    pub(crate) bus: Bus,
    /// Users and sign-in.
    pub(crate) accounts: Accounts,
    /// What is known of everything.
    pub(crate) view: ReadModel,
    /// Newest values.
    pub(crate) live: LiveValues,
    /// Who watches.
    pub(crate) hub: Arc<Hub>,
    /// Work that outlives its request.
    pub(crate) operations: Operations,
    /// What is too much for memory.
    pub(crate) archive: Arc<dyn Archive>,
    /// Uploads.
    pub(crate) intake: Intake,
    /// Applications.
    pub(crate) catalogue: Catalogue,
    /// What applications and builds printed.
    pub(crate) logs: Logs,
    /// Addresses of applications' pages.
    pub(crate) pages: PageKeys,
}

impl App {
    /// Where a connector connects to: of several hosts always the same one, and not all of them the same.
    pub(crate) fn device_address(&self, connector: ConnectorId) -> String {
        let addresses = &self.device_addresses;
        let turn = connector.uuid().as_u128() % (addresses.len().max(1) as u128);
        let chosen = usize::try_from(turn).ok().and_then(|turn| addresses.get(turn));
        chosen.unwrap_or(&self.public_address).clone()
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("public_address", &self.public_address)
            .finish_non_exhaustive()
    }
}
