//! What a place has for an application.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use common::LocationId;
use common::manifest::ThingKind;
use common::messages::binding::{BoundSlot, Missing};
use common::rules::matching::{Place, fill_slots, match_slots};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{newest_ready, version_of, visible};
use crate::access::Caller;
use crate::api::names::{PlaceRef, TypeRef};
use crate::api::{ApiError, Args, At};
use crate::app::App;

/// Where an application is to run.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct MatchArgs {
    /// The place: this location and everything below.
    location: LocationId,
    /// Number of the version; the newest one that is ready when not given.
    version: Option<String>,
}

/// What a place has for the slots of an application.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MatchView {
    /// The place.
    location: PlaceRef,
    /// Number of the version.
    version: String,
    /// Whether every slot has what it needs.
    satisfied: bool,
    /// By slot: what is needed and what is there.
    slots: BTreeMap<String, SlotMatch>,
}

/// What a place has for one slot.
#[derive(Debug, Serialize, ToSchema)]
struct SlotMatch {
    /// What people see.
    title: String,
    /// Sensors or devices.
    kind: ThingKind,
    /// The type that fits.
    #[serde(rename = "type")]
    type_ref: TypeRef,
    /// How many are needed at least.
    min: u32,
    /// How many are taken at most.
    max: Option<u32>,
    /// What is there and would be taken.
    found: BoundSlot,
    /// What is missing, in words.
    missing: Option<String>,
}

/// Says what a place has for the slots of an application, and what is missing.
#[utoipa::path(get, path = "/api/v1/applications/{name}/match", tag = "applications", params(("name" = String, Path), MatchArgs),
    responses((status = 200, body = MatchView)))]
pub(super) async fn matches(
    State(app): State<Arc<App>>,
    caller: Caller,
    At(name): At<String>,
    Args(args): Args<MatchArgs>,
) -> Result<Json<MatchView>, ApiError> {
    let view = app.view.read();
    let application = visible(&view, &caller, &name)?;
    let version = match &args.version {
        Some(number) => version_of(application, number)?,
        None => newest_ready(application)
            .or_else(|| application.versions.last())
            .ok_or_else(|| ApiError::not_found("version"))?,
    };
    if view.right(&caller, args.location).is_none() {
        return Err(ApiError::not_found("location"));
    }
    let place = Place::of(
        args.location,
        view.locations.values(),
        view.sensors.values(),
        view.devices.values(),
    )
    .ok_or_else(|| ApiError::not_found("location"))?;
    let slots = &version.manifest.slots;
    let missing = match_slots(slots, &place).err().unwrap_or_default();
    let mut filled = fill_slots(slots, &place);
    let rendered = slots.iter().filter_map(|(name, slot)| {
        let (kind, type_name) = slot.need()?;
        let found = filled.remove(name).unwrap_or(BoundSlot {
            kind,
            members: Vec::new(),
        });
        Some((
            name.clone(),
            SlotMatch {
                title: slot.title.clone().unwrap_or_else(|| name.clone()),
                kind,
                type_ref: view.type_ref(type_name),
                min: slot.min,
                max: slot.max,
                found,
                missing: missing
                    .iter()
                    .find(|missing| missing.slot == *name)
                    .map(Missing::to_string),
            },
        ))
    });
    Ok(Json(MatchView {
        slots: rendered.collect(),
        location: view.place(args.location),
        version: version.number.clone(),
        satisfied: missing.is_empty(),
    }))
}
