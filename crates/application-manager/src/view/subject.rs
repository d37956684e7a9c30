//! What an address is about, in words for the audit.

use super::View;

impl View {
    /// Says what an address is about: `sensor Lab north`, `user eva`, `schedules`. Ids without a name stay.
    pub(crate) fn subject(&self, path: &str) -> String {
        let path = path.trim_start_matches("/api/v1").trim_matches('/');
        let mut parts = path.splitn(3, '/');
        let (Some(nouns), Some(id)) = (parts.next(), parts.next()) else {
            return path.to_owned();
        };
        let Some(name) = self.name_of(nouns, id) else {
            return path.to_owned();
        };
        let noun = nouns.strip_suffix('s').unwrap_or(nouns);
        match parts.next() {
            Some(rest) => format!("{noun} {name}: {rest}"),
            None => format!("{noun} {name}"),
        }
    }

    fn name_of(&self, nouns: &str, id: &str) -> Option<String> {
        match nouns {
            "sensors" => Some(self.sensors.get(&id.parse().ok()?)?.name.clone()),
            "devices" => Some(self.devices.get(&id.parse().ok()?)?.name.clone()),
            "connectors" => Some(self.connectors.get(&id.parse().ok()?)?.name.clone()),
            "locations" => Some(self.path(self.locations.get(&id.parse().ok()?)?.id)),
            "schedules" => Some(self.schedules.get(&id.parse().ok()?)?.spec.name.clone()),
            "instances" => Some(self.instances.get(&id.parse().ok()?)?.spec.schedule_name.clone()),
            "users" | "applications" | "types" => Some(id.to_owned()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_words() {
        let view = View::default();
        for (path, words) in [
            ("/api/v1/schedules", "schedules"),
            ("/api/v1/users/eva", "user eva"),
            ("/api/v1/session/password", "session/password"),
            ("/api/v1/sensors/unknown", "sensors/unknown"),
            ("/api/v1/applications/room-comfort", "application room-comfort"),
        ] {
            assert_eq!(view.subject(path), words);
        }
    }
}
