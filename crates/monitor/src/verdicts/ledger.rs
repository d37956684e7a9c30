//! Verdicts of one kind: as they are known, written and told.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use common::messages::action::ActionRequest;
use common::messages::health::HealthState;
use common::{ActionId, Envelope, MessageId, Timestamp, Topic};
use runtime::{Applied, ApplyError, Bus, BusError, Change, Entities, Record, StoreError};

use crate::alert::{self, Word};
use crate::liveness::Verdict;
use crate::store::Judgement;

/// The newest verdicts of one kind.
#[derive(Debug)]
pub(super) struct Ledger<J: Judgement> {
    judged: Entities<J>,
    bus: Bus,
    /// As far as this process knows; none before the store was read.
    known: Option<BTreeMap<J::Subject, J>>,
}

impl<J: Judgement> Ledger<J> {
    pub(super) fn new(judged: Entities<J>, bus: Bus) -> Self {
        Self {
            judged,
            bus,
            known: None,
        }
    }

    /// What another process writes from now on is not known here.
    pub(super) fn forget(&mut self) {
        self.known = None;
    }

    /// Reads the store, where that was not done.
    pub(super) async fn remember(&mut self) -> Result<(), StoreError> {
        if self.known.is_none() {
            let all = self.judged.list(&[]).await?.into_iter();
            self.known = Some(
                all.map(|stored| (stored.entity.subject().clone(), stored.entity))
                    .collect(),
            );
        }
        Ok(())
    }

    /// The newest verdicts, by subject.
    pub(super) fn known(&self) -> impl Iterator<Item = &J> {
        self.known.iter().flat_map(BTreeMap::values)
    }

    fn get(&self, subject: &J::Subject) -> Option<&J> {
        self.known.as_ref()?.get(subject)
    }

    /// Judges what is seen now and what is known from before. One that fails does not keep the others from being judged.
    pub(super) async fn judge_all(
        &mut self,
        seen: BTreeSet<J::Subject>,
        verdict: impl Fn(&J::Subject, Option<&Verdict>) -> Option<Verdict>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut subjects = seen;
        subjects.extend(self.known().map(|entry| entry.subject().clone()));
        let mut outcome = Ok(());
        for subject in subjects {
            let before = self.get(&subject).map(J::verdict);
            if let Err(error) = self.judge(&subject, verdict(&subject, before.as_ref()), now).await {
                outcome = Err(error);
            }
        }
        outcome
    }

    /// Forgets, here and for those who listen, what is not watched any more.
    pub(super) async fn keep_only(&mut self, watched: impl Fn(&J) -> bool) -> Result<(), StoreError> {
        let strangers = self.known().filter(|one| !watched(one));
        let strangers: Vec<J::Subject> = strangers.map(|one| one.subject().clone()).collect();
        for subject in strangers {
            let id = subject.to_string();
            let records = vec![Record::tombstone(Topic::ServiceEvents, id.clone())];
            let change = |_: Option<&J>, _| {
                Ok::<_, Infallible>(Change::Delete {
                    records: records.clone(),
                })
            };
            match self.judged.apply(&id, None, change).await {
                Ok(_) => tracing::info!(%subject, "left: it is not watched any more"),
                Err(ApplyError::Store(error)) => return Err(error),
                Err(ApplyError::Refused(never)) => match never {},
            }
            if let Some(known) = &mut self.known {
                known.remove(&subject);
            }
        }
        Ok(())
    }

    /// Writes and publishes a verdict that is new.
    async fn judge(
        &mut self,
        subject: &J::Subject,
        verdict: Option<Verdict>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let before = self.get(subject).map(J::verdict);
        let Some(verdict) = verdict.filter(|verdict| before.as_ref() != Some(verdict)) else {
            return Ok(());
        };
        let written = self
            .apply(
                subject,
                |current, version| {
                    let same = current.filter(|before| before.state() == verdict.state);
                    if same.is_some_and(|before| before.verdict() == verdict) {
                        return None;
                    }
                    let since = same.map_or(now, J::since);
                    Some(J::new(subject, &verdict, since, version, current.is_some_and(J::told)))
                },
                now,
                None,
            )
            .await?;
        if let Some(written) = written {
            tell(&written);
        }
        Ok(())
    }

    /// Tells admins what is to be told. `covered` says what something else tells already.
    pub(super) async fn alert(
        &mut self,
        covered: impl Fn(&J) -> bool + Send + Sync,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let due = |entry: &J| alert::word(entry.state(), entry.since(), entry.told(), covered(entry), now);
        let all: Vec<(J::Subject, Word)> = self
            .known()
            .filter_map(|entry| Some((entry.subject().clone(), due(entry)?)))
            .collect();
        for (subject, word) in all {
            self.apply(
                &subject,
                |current, version| {
                    // Another process may have told it, or the verdict has changed.
                    let current = current.filter(|entry| due(entry) == Some(word))?;
                    Some(current.with_told(word != Word::Over, version))
                },
                now,
                Some(word),
            )
            .await?;
        }
        Ok(())
    }

    /// Writes what a decision makes of an entry, with its event and what is told; returns it when it was changed.
    async fn apply(
        &mut self,
        subject: &J::Subject,
        decide: impl Fn(Option<&J>, u64) -> Option<J> + Send + Sync,
        now: Timestamp,
        word: Option<Word>,
    ) -> Result<Option<J>, StoreError> {
        let (bus, id) = (&self.bus, subject.to_string());
        let applied = self
            .judged
            .apply(&id, None, |current, version| {
                let Some(entity) = decide(current, version) else {
                    return Ok(Change::Keep);
                };
                // One that was forgotten and is watched anew begins with the first version again.
                let (version, since) = (version.to_string(), entity.since().millis().to_string());
                let event = MessageId::derive(&[bus.source(), &id, &version, &since]);
                let mut records = vec![Record::of(&Envelope::first(event, bus.source(), now, entity.event()))?];
                if let Some(word) = word {
                    let alert = request(&entity, word, &version, now);
                    let event = MessageId::derive(&[bus.source(), &id, &version, &since, "alert"]);
                    records.push(Record::of(&Envelope::first(event, bus.source(), now, alert))?);
                }
                Ok::<_, BusError>(Change::Put { entity, records })
            })
            .await;
        let (entity, changed) = match applied {
            Ok(Applied::Changed(stored)) => (stored.entity, true),
            Ok(Applied::Kept(Some(stored)) | Applied::Duplicate(Some(stored))) => (stored.entity, false),
            Ok(_) => return Ok(None),
            Err(ApplyError::Store(error)) => return Err(error),
            Err(ApplyError::Refused(error)) => {
                return Err(StoreError::Corrupt {
                    collection: J::COLLECTION.to_owned(),
                    id,
                    message: error.to_string(),
                });
            }
        };
        if let Some(known) = &mut self.known {
            known.insert(subject.clone(), entity.clone());
        }
        Ok(changed.then_some(entity))
    }
}

fn request<J: Judgement>(entry: &J, word: Word, version: &str, now: Timestamp) -> ActionRequest {
    let verdict = entry.verdict();
    let (title, text) = alert::text(word, &entry.title(), verdict.state, &verdict.cause, entry.since());
    metrics::counter!("monitor_alerts_total").increment(1);
    ActionRequest::Alert {
        id: ActionId::derive(&[
            "alert",
            &entry.subject().to_string(),
            version,
            &entry.since().millis().to_string(),
        ]),
        title,
        text,
        severity: match word {
            Word::Trouble(severity) => severity,
            Word::Over => common::messages::action::Severity::Info,
        },
        at: now,
    }
}

fn tell<J: Judgement>(entry: &J) {
    let (subject, Verdict { state, cause }) = (entry.subject(), entry.verdict());
    metrics::counter!("monitor_verdicts_total", "state" => name(state)).increment(1);
    match state {
        HealthState::Down => tracing::error!(%subject, cause, "down"),
        HealthState::Suspected | HealthState::Degraded => tracing::warn!(%subject, cause, "{}", name(state)),
        _ => tracing::info!(%subject, cause, "{}", name(state)),
    }
}

/// Name of a state, for logs and metrics.
pub(super) fn name(state: HealthState) -> &'static str {
    match state {
        HealthState::Up => "up",
        HealthState::NotReady => "not ready",
        HealthState::Suspected => "suspected",
        HealthState::Down => "down",
        HealthState::Stopped => "stopped",
        HealthState::Degraded => "degraded",
    }
}
