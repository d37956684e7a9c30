//! What a person asks for when a schedule is made, checked and completed.

use common::manifest::Values;
use common::messages::application::VersionState;
use common::messages::schedule::{ScheduleSpec, VersionRef};
use common::names::Slug;
use common::rules::{occurrences, parameters};
use common::schedule::{Policies, When};
use common::{LocationId, Timestamp};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::Caller;
use crate::api::applications::{newest_ready, visible as visible_application};
use crate::api::{ApiError, text};
use crate::rights;
use crate::view::View;

/// A new schedule.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSchedule {
    /// What people call it; title and place when not given.
    name: Option<String>,
    /// Name of the application.
    application: Slug,
    /// Number of the version; the newest one that is ready when not given.
    version: Option<String>,
    /// Where: this location and everything below.
    location: LocationId,
    /// Values of the manifest's parameters; defaults are filled in.
    #[serde(default)]
    #[schema(value_type = Object)]
    parameters: Values,
    /// When.
    when: When,
    /// Policies.
    #[serde(default)]
    policies: Policies,
}

/// Checks what a person asks for and completes it.
pub(super) fn specify(
    view: &View,
    caller: &Caller,
    new: NewSchedule,
    now: Timestamp,
) -> Result<ScheduleSpec, ApiError> {
    let application = visible_application(view, caller, new.application.as_str())?;
    let version = match &new.version {
        None => newest_ready(application)
            .ok_or_else(|| ApiError::conflict(format!("no version of {} is ready yet", application.title)))?,
        Some(number) => application
            .versions
            .iter()
            .find(|version| version.number == *number)
            .ok_or_else(|| ApiError::not_found("version"))?,
    };
    match &version.state {
        VersionState::Ready { .. } => {}
        VersionState::Building => {
            return Err(ApiError::conflict(format!(
                "version {} is still being built",
                version.number
            )));
        }
        VersionState::Failed { reason } => {
            return Err(ApiError::conflict(format!(
                "version {} could not be built: {reason}",
                version.number
            )));
        }
    }
    if !view.locations.contains_key(&new.location) || view.right(caller, new.location).is_none() {
        return Err(ApiError::not_found("location"));
    }
    if !rights::runs(caller, view.right(caller, new.location)) {
        return Err(ApiError::forbidden("this needs the right to use the place"));
    }
    occurrences::check(&new.when, now)
        .map_err(|detail| ApiError::misfit("when", detail, "a moment to come, or a cron expression with a zone"))?;
    let parameters = parameters::check(&version.manifest.parameters, &new.parameters).map_err(|problems| {
        ApiError::invalid(
            problems
                .into_iter()
                .map(|problem| problem.under("parameters"))
                .collect(),
        )
    })?;
    let location_path = view.path(new.location);
    let name = match new.name.filter(|name| !name.trim().is_empty()) {
        Some(name) => text::line("name", &name, 100)?,
        None => {
            let place = view
                .locations
                .get(&new.location)
                .map_or("", |location| location.name.as_str());
            format!("{}, {place}", version.manifest.title)
                .chars()
                .take(100)
                .collect()
        }
    };
    Ok(ScheduleSpec {
        name,
        version: VersionRef {
            application: application.id,
            version: version.id,
            number: version.number.clone(),
            developer: application.owner,
            manifest: version.manifest.clone(),
        },
        location: new.location,
        location_path,
        parameters,
        when: new.when,
        policies: new.policies,
    })
}
