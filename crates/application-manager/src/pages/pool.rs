//! What this process knows of replicas from its own requests: how many are in flight, which did not answer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::messages::instance::Endpoint;

use super::balance::{Load, choose};

/// How long a replica that did not take a connection is passed over.
const EJECTION: Duration = Duration::from_secs(5);
/// Replicas that are remembered at most before those without requests are forgotten.
const REMEMBERED: usize = 4096;

/// `host:port` of a replica.
pub(super) type Address = String;

#[derive(Debug, Default)]
struct Replica {
    in_flight: usize,
    ejected_until: u64,
}

#[derive(Debug)]
pub(super) struct Pool {
    begun: Instant,
    turn: AtomicUsize,
    replicas: Mutex<HashMap<Address, Replica>>,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            turn: AtomicUsize::new(0),
            replicas: Mutex::default(),
        }
    }
}

impl Pool {
    /// Chooses a replica that was not tried yet and counts a request on it until the guard is dropped.
    pub(super) fn take(self: &Arc<Self>, endpoints: &[Endpoint], tried: &[Address]) -> Option<InFlight> {
        let addresses: Vec<Address> = endpoints.iter().map(address).collect();
        let now = self.now();
        let mut replicas = self.lock();
        let loads: Vec<Load> = addresses
            .iter()
            .map(|address| {
                let known = replicas.get(address);
                Load {
                    in_flight: known.map_or(0, |replica| replica.in_flight),
                    ejected_until: known.map_or(0, |replica| replica.ejected_until),
                    tried: tried.contains(address),
                }
            })
            .collect();
        let chosen = choose(&loads, now, self.turn.fetch_add(1, Ordering::Relaxed))?;
        let address = addresses.into_iter().nth(chosen)?;
        if replicas.len() >= REMEMBERED {
            replicas.retain(|_, replica| replica.in_flight > 0);
        }
        replicas.entry(address.clone()).or_default().in_flight += 1;
        Some(InFlight {
            pool: self.clone(),
            address,
        })
    }

    /// Passes a replica over for a while.
    pub(super) fn eject(&self, address: &str) {
        let until = self.now() + u64::try_from(EJECTION.as_millis()).unwrap_or(u64::MAX);
        if let Some(replica) = self.lock().get_mut(address) {
            replica.ejected_until = until;
        }
    }

    /// Counts a replica as answering again.
    pub(super) fn answered(&self, address: &str) {
        if let Some(replica) = self.lock().get_mut(address) {
            replica.ejected_until = 0;
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Address, Replica>> {
        self.replicas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn in_flight(&self) -> usize {
        self.lock().values().map(|replica| replica.in_flight).sum()
    }
}

fn address(endpoint: &Endpoint) -> Address {
    if endpoint.host.contains(':') {
        format!("[{}]:{}", endpoint.host, endpoint.port)
    } else {
        format!("{}:{}", endpoint.host, endpoint.port)
    }
}

/// A request that a replica has not answered to the end.
#[derive(Debug)]
pub(super) struct InFlight {
    pool: Arc<Pool>,
    address: Address,
}

impl InFlight {
    pub(super) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(replica) = self.pool.lock().get_mut(&self.address) {
            replica.in_flight = replica.in_flight.saturating_sub(1);
        }
    }
}
