//! What the Swarm shows of a service that was asked for. Pure.

use common::messages::instance::{Endpoint, InstanceState};

use super::{Case, Image, Step, page_address};
use crate::backoff::{self, STABLE_MILLIS, SWARM_DELAY_MILLIS};
use crate::docker::{ServiceSeen, TaskSeen, TaskState};
use crate::ends::{self, Cause};
use crate::plan::{self, ServicePlan};
use crate::records::End;

/// After a failure, so long a run is taken for one.
pub(super) const SETTLED_MILLIS: i64 = 2000;
/// Times that a run to completion is started again when it was ended from outside.
pub(super) const RETRIES: u32 = 5;
/// So long after a container has begun the Swarm still may say where its pages are published.
pub(super) const PORTS_MILLIS: i64 = 15_000;
/// Ends that are remembered as counted; the Swarm shows the last five of each copy.
const COUNTED: usize = 100;

impl Case<'_> {
    /// Compares what is wanted with what is there.
    pub(super) fn observe(&mut self, image: &str) {
        let image = &self.adopt(image);
        let plan = plan::plan(self.facts.settings, self.instance, image);
        let Some(service) = self.facts.service else {
            return self.launch_again(plan);
        };
        let tasks: Vec<&TaskSeen> = self
            .facts
            .tasks
            .iter()
            .filter(|task| task.service == service.id)
            .collect();
        if plan.to_completion {
            self.observe_task(service, &tasks);
        } else {
            self.observe_service(service, plan, &tasks);
        }
    }

    /// The image to run: the one it was launched with, or, where a host could not get that one, what the version has now.
    fn adopt(&mut self, image: &str) -> String {
        let rejected = self.facts.tasks.iter().any(|task| task.state == TaskState::Rejected);
        match &self.facts.image {
            Image::Ready(newer) if rejected && newer != image => {
                self.record.image = Some(newer.clone());
                newer.clone()
            }
            _ => image.to_owned(),
        }
    }

    /// The service is not there: it was never created, was taken away, or is to be tried again.
    fn launch_again(&mut self, plan: ServicePlan) {
        if self.record.ends.hold_until.is_some_and(|until| until > self.facts.now) {
            return;
        }
        self.record.ends.hold_until = None;
        if let Some(why) = self.facts.refusal.clone() {
            return self.wait(Vec::new(), why);
        }
        if matches!(self.instance.state, InstanceState::Running) {
            let why = "its Swarm service was taken away; it is created again".to_owned();
            self.enter(InstanceState::Failing {
                why,
                next_try: Some(self.facts.now),
            });
        }
        self.steps.push(Step::Launch(Box::new(plan)));
    }

    fn observe_service(&mut self, service: &ServiceSeen, plan: ServicePlan, tasks: &[&TaskSeen]) {
        self.count_ends(tasks);
        self.begin_without_ports_anew(tasks);
        let (now, ends) = (self.facts.now, &mut self.record.ends);
        let ran = |task: &&&TaskSeen| task.state == TaskState::Running && task.wanted;
        let longest = tasks.iter().filter(ran).map(|task| now.millis_since(task.since)).max();
        if longest.is_some_and(|millis| millis >= STABLE_MILLIS) {
            ends.streak = 0;
        }
        if ends.hold_until.is_some_and(|until| until <= now) {
            ends.hold_until = None;
        }
        let replicas = if ends.hold_until.is_some() { 0 } else { plan.replicas };
        if service.plan != plan.hash() || service.replicas != Some(replicas) {
            self.steps.push(Step::Update {
                seen: service.clone(),
                plan: Box::new(plan),
                replicas,
            });
        }
        self.service_state(tasks, longest);
        if matches!(self.instance.state, InstanceState::Running) {
            self.instance.endpoints = self.endpoints(tasks);
        }
    }

    fn service_state(&mut self, tasks: &[&TaskSeen], longest: Option<i64>) {
        let ends = &self.record.ends;
        let settled = longest.is_some_and(|millis| ends.streak <= 1 || millis >= SETTLED_MILLIS);
        let state = if let (Some(until), Some(last)) = (ends.hold_until, &ends.last) {
            InstanceState::Failing {
                why: last.why.clone(),
                next_try: Some(until),
            }
        } else if settled {
            InstanceState::Running
        } else if let Some(why) = unplaced(tasks) {
            InstanceState::Waiting {
                missing: Vec::new(),
                why,
            }
        } else if let (Some(last), true) = (&ends.last, ends.streak > 0) {
            // What was held back is being started just now.
            let held = backoff::crash_delay_millis(ends.streak, "").is_some();
            InstanceState::Failing {
                why: last.why.clone(),
                next_try: (!held).then(|| last.at.plus_millis(SWARM_DELAY_MILLIS)),
            }
        } else if matches!(
            self.instance.state,
            InstanceState::Running | InstanceState::Failing { .. }
        ) {
            InstanceState::Failing {
                why: "its container is being started again".to_owned(),
                next_try: None,
            }
        } else {
            InstanceState::Starting
        };
        self.enter(state);
    }

    /// Counts each unexpected end once. A row of them holds the next try back, longer each time, unless a copy runs well.
    fn count_ends(&mut self, tasks: &[&TaskSeen]) {
        let memory = self.instance.spec.version.manifest.resources.memory_mib;
        let ends = &mut self.record.ends;
        let mut new: Vec<&&TaskSeen> = tasks
            .iter()
            .filter(|task| ends::unexpected(task) && !ends.counted.contains(&task.id))
            .collect();
        new.sort_by_key(|task| task.since);
        for task in new {
            ends.counted.push(task.id.clone());
            let stable = task.since.millis_since(task.created) >= STABLE_MILLIS;
            ends.streak = if stable { 1 } else { ends.streak.saturating_add(1) };
            if task.state != TaskState::Rejected {
                self.instance.restarts = self.instance.restarts.saturating_add(1);
            }
            ends.last = Some(End {
                at: task.since,
                why: ends::describe(task, memory),
            });
            let well = tasks.iter().any(|other| {
                other.state == TaskState::Running && self.facts.now.millis_since(other.since) >= STABLE_MILLIS
            });
            ends.hold_until = backoff::crash_delay_millis(ends.streak, &self.instance.id.to_string())
                .filter(|_| !well)
                .map(|delay| task.since.plus_millis(delay));
        }
        let surplus = ends.counted.len().saturating_sub(COUNTED);
        ends.counted.drain(..surplus);
    }

    /// A Swarm that chooses its leader while a container begins may lose on which port of the host its pages are, for good: nobody would
    /// reach them. Another container says it again, and what the application remembers is in its checkpoint.
    fn begin_without_ports_anew(&mut self, tasks: &[&TaskSeen]) {
        let (Some(page), now) = (&self.instance.spec.version.manifest.page, self.facts.now) else {
            return;
        };
        let ends = &mut self.record.ends;
        let serves = |task: &TaskSeen| task.ports.iter().any(|(target, _)| *target == page.port);
        let running = || {
            tasks
                .iter()
                .filter(|task| task.state == TaskState::Running && task.wanted)
        };
        // All copies begin anew together: while one is reached, none has to.
        if running().any(|task| serves(task)) {
            return;
        }
        let silent =
            running().find(|task| now.millis_since(task.since) >= PORTS_MILLIS && !ends.counted.contains(&task.id));
        let Some(task) = silent.filter(|_| ends.hold_until.is_none()) else {
            return;
        };
        ends.counted.push(task.id.clone());
        ends.last = Some(End {
            at: now,
            why: "Docker does not say where its pages are published; its container begins anew".to_owned(),
        });
        // Where no container is ever told of, each waits longer than the one before.
        ends.streak = ends.streak.saturating_add(1);
        let delay =
            backoff::crash_delay_millis(ends.streak, &self.instance.id.to_string()).unwrap_or(SWARM_DELAY_MILLIS);
        ends.hold_until = Some(now.plus_millis(delay));
        self.instance.restarts = self.instance.restarts.saturating_add(1);
    }

    /// A run to completion: its first task decides, unless it was ended from outside.
    fn observe_task(&mut self, service: &ServiceSeen, tasks: &[&TaskSeen]) {
        let memory = self.instance.spec.version.manifest.resources.memory_mib;
        if tasks.iter().any(|task| task.state == TaskState::Complete) {
            return self.enter(InstanceState::Succeeded);
        }
        if tasks.iter().any(|task| task.state == TaskState::Running) {
            self.enter(InstanceState::Running);
            self.instance.endpoints = self.endpoints(tasks);
            return;
        }
        let Some(task) = tasks
            .iter()
            .filter(|task| task.state.is_over())
            .max_by_key(|task| task.since)
        else {
            return match unplaced(tasks) {
                Some(why) => self.wait(Vec::new(), why),
                None if matches!(self.instance.state, InstanceState::Failing { .. }) => {}
                None => self.enter(InstanceState::Starting),
            };
        };
        let why = ends::describe(task, memory);
        if ends::cause(task) == Cause::Itself || self.record.ends.streak >= RETRIES {
            return self.enter(InstanceState::Failed {
                exit_code: task.exit_code,
                why,
            });
        }
        self.run_again(service, task, why);
    }

    /// It was no fault of the application: the same run begins again, from its last checkpoint.
    fn run_again(&mut self, service: &ServiceSeen, task: &TaskSeen, why: String) {
        let ends = &mut self.record.ends;
        if !ends.counted.contains(&task.id) {
            ends.counted.push(task.id.clone());
            ends.streak += 1;
            ends.last = Some(End {
                at: task.since,
                why: why.clone(),
            });
            let delay = backoff::crash_delay_millis(ends.streak, &task.id).unwrap_or(SWARM_DELAY_MILLIS);
            ends.hold_until = Some(self.facts.now.plus_millis(delay));
            self.instance.restarts = self.instance.restarts.saturating_add(1);
        }
        let next_try = ends.hold_until;
        self.enter(InstanceState::Failing { why, next_try });
        self.steps.push(Step::RemoveService(service.id.clone()));
    }

    fn endpoints(&self, tasks: &[&TaskSeen]) -> Vec<Endpoint> {
        let mut found: Vec<Endpoint> = tasks
            .iter()
            .filter_map(|task| page_address(self.instance, task).map(|(host, port)| (task, host, port)))
            .filter(|(_, host, port)| self.facts.healthy.contains(&(host.clone(), *port)))
            .map(|(task, host, port)| Endpoint {
                host,
                port,
                node: task.node.clone(),
            })
            .collect();
        found.sort_by(|one, other| (&one.host, one.port).cmp(&(&other.host, other.port)));
        found
    }
}

/// Why no host takes it.
fn unplaced(tasks: &[&TaskSeen]) -> Option<String> {
    let pending = tasks
        .iter()
        .find(|task| task.state == TaskState::Pending && task.error.is_some())?;
    let said = pending.error.as_deref()?;
    Some(if said.contains("insufficient resources") {
        format!("no host has the memory and CPU it asks for ({said}); it starts when another instance ends")
    } else {
        format!("no host can take it ({said})")
    })
}
