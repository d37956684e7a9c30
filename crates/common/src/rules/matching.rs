//! Which sensors and devices of a place fit the slots of a manifest.
