//! Reading what a later release may have written more of: what this one does not know is passed over, though an admin may not write it.

use serde::de::DeserializeOwned;
use serde::{Deserialize as _, Deserializer, Serialize};

use super::{Limits, SmtpSettings};

/// Reads limits without those of later releases; an admin's `config.json` is read strictly.
pub(super) fn known_limits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Limits, D::Error> {
    let all = serde_json::Map::deserialize(deserializer)?;
    known(all, &Limits::default())
}

/// The same for mail.
pub(super) fn known_smtp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SmtpSettings>, D::Error> {
    let Some(all) = Option::<serde_json::Map<_, _>>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let example = SmtpSettings {
        host: String::new(),
        port: 0,
        from: String::new(),
        username: Some(String::new()),
        tls: false,
    };
    known(all, &example).map(Some)
}

/// Reads what an example has, too.
fn known<T: Serialize + DeserializeOwned, E: serde::de::Error>(
    mut all: serde_json::Map<String, serde_json::Value>,
    example: &T,
) -> Result<T, E> {
    let known = serde_json::to_value(example).map_err(E::custom)?;
    all.retain(|name, _| known.get(name).is_some());
    serde_json::from_value(all.into()).map_err(E::custom)
}
