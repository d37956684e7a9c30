//! Duties: work that one copy of a service does for all of them, such as a reconciler.
//!
//! A duty is a document that its holder writes anew every second. A copy that sees it unchanged for [`EXPIRES`], by its own monotonic
//! clock, takes it over; the holder counts itself as the holder only for [`HOLDS`] after it *began* its newest successful write.
//! Since `HOLDS < EXPIRES`, two copies never hold one at once, whatever their clocks of day say. The work must still be harmless when it is
//! done twice: a holder may be paused between its look at [`Duty::held`] and what it does then.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::store::{Document, Documents, StoreError};

/// Time between two writes of a holder, and between two looks of the others.
const BEAT: Duration = Duration::from_secs(1);
/// How long a copy holds a duty after it began to write so.
const HOLDS: Duration = Duration::from_secs(4);
/// How long the document must stay unchanged until another copy may take the duty.
const EXPIRES: Duration = Duration::from_secs(6);

/// A process that may hold duties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its host; one copy of a service runs on a host.
    pub host: String,
    /// Which start of it.
    pub process: String,
}

/// What the document says; without a holder the duty is free.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Tenure {
    holder: Option<Holder>,
}

/// A duty of a service. Clones share it.
#[derive(Debug, Clone)]
pub struct Duty {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    until: Mutex<Option<Instant>>,
    taken: Notify,
    unable: AtomicBool,
}

impl Duty {
    /// A duty that this process always has, for services with one copy and for tests.
    #[must_use]
    pub fn always() -> Self {
        let duty = Self { state: Arc::default() };
        let century = Duration::from_secs(100 * 365 * 24 * 3600);
        duty.hold_until(Instant::now().checked_add(century));
        duty
    }

    /// Whether this process has it now.
    #[must_use]
    pub fn held(&self) -> bool {
        let until = self.state.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Says whether this process can do what the duty asks for. One that can not leaves it to another copy.
    pub fn set_able(&self, able: bool) {
        self.state.unable.store(!able, Ordering::Relaxed);
    }

    /// Waits until this process has it.
    pub async fn taken(&self) {
        loop {
            let taken = self.state.taken.notified();
            if self.held() {
                return;
            }
            taken.await;
        }
    }

    fn hold_until(&self, until: Option<Instant>) {
        *self.state.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
        if until.is_some() {
            self.state.taken.notify_waiters();
        }
    }
}

/// What this process saw of the document, and since when it is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sight {
    version: u64,
    since: Instant,
}

/// Keeps a duty, or waits for it.
pub(crate) struct Keeper {
    documents: Arc<dyn Documents>,
    collection: &'static str,
    name: String,
    me: Holder,
    duty: Duty,
    sight: Option<Sight>,
}

impl Keeper {
    pub(crate) fn new(documents: Arc<dyn Documents>, collection: &'static str, name: &str, me: Holder) -> Self {
        Self {
            documents,
            collection,
            name: name.to_owned(),
            me,
            duty: Duty { state: Arc::default() },
            sight: None,
        }
    }

    pub(crate) fn duty(&self) -> Duty {
        self.duty.clone()
    }

    /// Keeps at it until the service ends; then the duty is free at once.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut interval = tokio::time::interval(BEAT);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = interval.tick() => {}
            }
            let before = self.duty.held();
            match tokio::time::timeout(HOLDS, self.look(Instant::now())).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(duty = self.name, %error, "a duty can not be looked at"),
                Err(_) => tracing::debug!(duty = self.name, "mongodb says nothing of a duty"),
            }
            let after = self.duty.held();
            if before != after {
                let duty = &self.name;
                tracing::info!(
                    duty,
                    host = self.me.host,
                    "{}",
                    if after { "took a duty" } else { "lost a duty" }
                );
            }
            metrics::gauge!("duty_held", "duty" => self.name.clone()).set(f64::from(u8::from(after)));
        }
        if self.duty.held() {
            self.duty.hold_until(None);
            tokio::time::timeout(BEAT, self.release()).await.unwrap_or_default();
        }
        Ok(())
    }

    /// One look, and one write where this process has the duty or may take it.
    async fn look(&mut self, now: Instant) -> Result<(), StoreError> {
        let found = self.documents.find(self.collection, &self.name).await?;
        let version = found.as_ref().map_or(0, |document| document.version);
        let unchanged = match self.sight.filter(|sight| sight.version == version) {
            Some(sight) => now.saturating_duration_since(sight.since),
            None => {
                // From now, not from when it was asked for: the holder may have written while this waited.
                self.sight = Some(Sight {
                    version,
                    since: Instant::now(),
                });
                Duration::ZERO
            }
        };
        let tenure = self.tenure(found.as_ref())?;
        if self.duty.state.unable.load(Ordering::Relaxed) {
            self.duty.hold_until(None);
            if tenure.holder.as_ref() == Some(&self.me) {
                self.write(found.as_ref(), None).await?;
            }
            return Ok(());
        }
        if !may_hold(&tenure, &self.me, unchanged) {
            self.duty.hold_until(None);
            return Ok(());
        }
        if self.write(found.as_ref(), Some(self.me.clone())).await? {
            self.duty.hold_until(Some(now + HOLDS));
        }
        Ok(())
    }

    fn tenure(&self, document: Option<&Document>) -> Result<Tenure, StoreError> {
        let Some(body) = document.and_then(|document| document.body.as_deref()) else {
            return Ok(Tenure::default());
        };
        serde_json::from_str(body).map_err(|error| self.corrupt(&error))
    }

    async fn write(&self, found: Option<&Document>, holder: Option<Holder>) -> Result<bool, StoreError> {
        let body = serde_json::to_string(&Tenure { holder }).map_err(|error| self.corrupt(&error))?;
        let expected = found.map(|document| document.version);
        let document = Document {
            id: self.name.clone(),
            version: expected.unwrap_or(0) + 1,
            body: Some(body),
            seen: Vec::new(),
            outbox: Vec::new(),
            newest: Vec::new(),
            index: BTreeMap::new(),
        };
        match expected {
            None => self.documents.insert(self.collection, &document).await,
            Some(version) => self.documents.replace(self.collection, &document, version).await,
        }
    }

    async fn release(&self) {
        let outcome = async {
            let found = self.documents.find(self.collection, &self.name).await?;
            if self.tenure(found.as_ref())?.holder.as_ref() == Some(&self.me) {
                self.write(found.as_ref(), None).await?;
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = outcome.await {
            tracing::debug!(duty = self.name, %error, "a duty is not given back; it ends by itself");
        }
    }

    fn corrupt(&self, error: &serde_json::Error) -> StoreError {
        StoreError::Corrupt {
            collection: self.collection.to_owned(),
            id: self.name.clone(),
            message: error.to_string(),
        }
    }
}

/// Whether a process may hold a duty, whose document has been unchanged for so long.
fn may_hold(tenure: &Tenure, me: &Holder, unchanged: Duration) -> bool {
    // Another start on the same host is dead, because this one runs there.
    tenure.holder.as_ref().is_none_or(|holder| holder.host == me.host) || unchanged >= EXPIRES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryDocuments;

    fn keeper(documents: &Arc<MemoryDocuments>, host: &str, process: &str) -> Keeper {
        let me = Holder {
            host: host.to_owned(),
            process: process.to_owned(),
        };
        Keeper::new(documents.clone(), "test_duties", "sweep", me)
    }

    #[tokio::test(start_paused = true)]
    async fn one_of_two_has_it_and_the_other_takes_it_when_the_first_is_silent() {
        let documents = Arc::new(MemoryDocuments::default());
        let (mut one, mut two) = (keeper(&documents, "a", "1"), keeper(&documents, "b", "2"));
        one.look(Instant::now()).await.unwrap();
        assert!(one.duty().held() && !two.duty().held());
        for _ in 0..20 {
            tokio::time::advance(BEAT).await;
            one.look(Instant::now()).await.unwrap();
            two.look(Instant::now()).await.unwrap();
            assert!(one.duty().held() && !two.duty().held());
        }
        // The first is paused: nobody has it for a while, and never both.
        let (paused, mut taken) = (Instant::now(), None);
        while taken.is_none() {
            tokio::time::advance(BEAT).await;
            two.look(Instant::now()).await.unwrap();
            assert!(!(one.duty().held() && two.duty().held()));
            taken = two.duty().held().then(|| paused.elapsed());
        }
        assert!(taken.unwrap() <= EXPIRES + 2 * BEAT, "{taken:?}");
        one.look(Instant::now()).await.unwrap();
        assert!(!one.duty().held(), "it is not given back to who returns");
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_start_on_the_host_and_one_that_finds_it_free_have_it_at_once() {
        let documents = Arc::new(MemoryDocuments::default());
        let mut one = keeper(&documents, "a", "1");
        one.look(Instant::now()).await.unwrap();
        let mut again = keeper(&documents, "a", "2");
        again.look(Instant::now()).await.unwrap();
        assert!(again.duty().held());
        let mut two = keeper(&documents, "b", "3");
        two.look(Instant::now()).await.unwrap();
        assert!(!two.duty().held());
        again.release().await;
        two.look(Instant::now()).await.unwrap();
        assert!(two.duty().held());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_not_able_leaves_it_to_another() {
        let documents = Arc::new(MemoryDocuments::default());
        let (mut one, mut two) = (keeper(&documents, "a", "1"), keeper(&documents, "b", "2"));
        one.look(Instant::now()).await.unwrap();
        one.duty().set_able(false);
        one.look(Instant::now()).await.unwrap();
        two.look(Instant::now()).await.unwrap();
        assert!(!one.duty().held() && two.duty().held());
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_given_back_at_the_end() {
        let documents = Arc::new(MemoryDocuments::default());
        let one = keeper(&documents, "a", "1");
        let (duty, end) = (one.duty(), CancellationToken::new());
        let running = tokio::spawn(one.run(end.clone()));
        duty.taken().await;
        end.cancel();
        running.await.unwrap().unwrap();
        let mut two = keeper(&documents, "b", "2");
        two.look(Instant::now()).await.unwrap();
        assert!(two.duty().held());
    }

    #[test]
    fn who_may_hold() {
        let me = Holder {
            host: "a".to_owned(),
            process: "1".to_owned(),
        };
        let held = |host: &str| Tenure {
            holder: Some(Holder {
                host: host.to_owned(),
                process: "0".to_owned(),
            }),
        };
        let short = EXPIRES - Duration::from_millis(1);
        for (tenure, unchanged, expected) in [
            (Tenure::default(), Duration::ZERO, true),
            (held("a"), Duration::ZERO, true),
            (held("b"), short, false),
            (held("b"), EXPIRES, true),
        ] {
            assert_eq!(may_hold(&tenure, &me, unchanged), expected, "{tenure:?} {unchanged:?}");
        }
    }
}
